import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecOp } from '../../graph/op.ts';
import { applyEntries } from '../../image/apply.ts';
import type { StoredLayer } from '../../image/layer-store.ts';
import type { StepOutcome } from '../result.ts';
import type { StepTask, TaskSource } from '../steps/steps.ts';
import type { ExecSettings } from './exec.ts';

/** A step that is ready to be executed; disposing removes what was made for its mounts. */
export interface PreparedTask extends AsyncDisposable {
  readonly task: StepTask;
}

/** All of a step but where its layer goes. `inputs` are in the order of the vertex; that of the base is not looked at. */
export async function prepareTask(
  op: ExecOp,
  place: {
    /** For messages. */
    readonly id: string;
    /** What the step stands on, base to top. */
    readonly layers: readonly StoredLayer[];
    readonly inputs: readonly (StepOutcome | undefined)[];
  },
  about: { readonly settings: ExecSettings; readonly signal: AbortSignal },
): Promise<PreparedTask> {
  const { settings } = about;
  const sources = await mountSources(op, place.inputs, about);
  return {
    task: {
      id: place.id,
      op: sources.op,
      layers: place.layers,
      binds: sources.binds,
      env: settings.proxyEnv,
      certificates: settings.certificates,
      secrets: settings.secrets,
      sshSockets: settings.sshSockets,
      extraHosts: settings.extraHosts,
      shmSize: settings.shmSize,
      isolated: settings.isolated,
      limits: settings.limits,
      ulimits: settings.ulimits,
    },
    [Symbol.asyncDispose]: () => sources[Symbol.asyncDispose](),
  };
}

interface MountSources extends AsyncDisposable {
  /** With the sources of tree mounts resolved: only what a mount shows is copied. */
  readonly op: ExecOp;
  readonly binds: ReadonlyMap<number, TaskSource>;
}

/** What bind mounts and seeds of cache mounts show, by index of the mount. Trees are copied to a temporary directory first: a step must
 * see the context as the ignore file leaves it. */
async function mountSources(
  op: ExecOp,
  inputs: readonly (StepOutcome | undefined)[],
  { settings, signal }: { settings: ExecSettings; signal: AbortSignal },
): Promise<MountSources> {
  // Without the rights of root everything is this user's, who is root where the step runs.
  const owners = process.getuid?.() === 0 ? 'keep' : 'ignore';
  const binds = new Map<number, TaskSource>();
  const mounts = [...op.mounts];
  const temporary: string[] = [];
  const dispose = async (): Promise<void> => {
    for (const path of temporary) await rm(path, { recursive: true, force: true });
  };
  try {
    for (const [index, mount] of op.mounts.entries()) {
      if ((mount.type !== 'bind' && mount.type !== 'cache') || mount.input === undefined) continue;
      const input = inputs[mount.input];
      if (input === undefined) throw new TypeError(`a mount has no input ${mount.input}`);
      if (input.kind === 'layers') {
        binds.set(index, { kind: 'layers', layers: input.layers.map(({ layer }) => layer) });
        continue;
      }
      const folder = await mkdtemp(join(await settings.tempDir(), 'bind-'));
      temporary.push(folder);
      // Users of the step may look into it; other users of this host may not.
      const directory = join(folder, 'root');
      await mkdir(directory);
      await chmod(directory, 0o755);
      const source = await input.tree.resolve(mount.source.replace(/^\/+/, ''));
      await applyEntries(withoutRoot(input.tree.walk(source)), directory, { form: 'plain', owners, signal });
      mounts[index] = { ...mount, source };
      binds.set(index, { kind: 'directory', path: directory });
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  return { op: { ...op, mounts }, binds, [Symbol.asyncDispose]: dispose };
}

/** A tree's own root entry is left to the directory that receives it. */
async function* withoutRoot<T extends { readonly path: string }>(
  entries: AsyncIterable<T>,
): AsyncGenerator<T> {
  for await (const entry of entries) if (entry.path !== '') yield entry;
}
