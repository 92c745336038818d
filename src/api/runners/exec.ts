import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { goQuote } from '../../frontend/go-quote.ts';
import type { Definition } from '../../graph/definition.ts';
import type { ExecOp } from '../../graph/op.ts';
import { applyEntries } from '../../image/apply.ts';
import { treeContentKey } from '../../image/content-hash.ts';
import { digestOfJson } from '../../oci/digest.ts';
import type { OpRunner, RunContext } from '../../solver/runner.ts';
import { BuildError } from '../../util/build-error.ts';
import type { JsonValue } from '../../util/canonical-json.ts';
import type { StepOutcome } from '../result.ts';
import { layersOf } from '../result.ts';
import type { SecretGate } from '../secret-gate.ts';
import type { HeldCaches, Steps, TaskSource } from '../steps/steps.ts';
import type { UlimitOption } from '../types.ts';
import type { LayerTimes } from './layer-times.ts';
import type { NewLayers } from './new-layer.ts';

/** What a build says about all of its RUN steps. */
export interface ExecSettings {
  readonly secrets: { get(id: string): Promise<Uint8Array | undefined> };
  readonly sshSockets: Readonly<Record<string, string>>;
  readonly proxyEnv: readonly string[];
  readonly extraHosts: readonly string[];
  readonly shmSize?: number | undefined;
  readonly ulimits: readonly UlimitOption[];
  readonly allow: ReadonlySet<string>;
  readonly drained?: (() => Promise<void> | undefined) | undefined;
  /** On the store's filesystem; made when first asked for. */
  readonly tempDir: () => Promise<string>;
}

interface ExecDependencies {
  readonly steps: () => Promise<Steps>;
  readonly times: LayerTimes;
  readonly settings: ExecSettings;
  readonly layers: NewLayers;
  readonly gate: SecretGate | undefined;
}

/**
 * RUN (K-5, K-6): keyed by everything that the step can see but for secret values, agents, proxies, host addresses and what is in cache
 * mounts. A bind mount of a tree is keyed by the content below its source.
 */
export function execRunner(dependencies: ExecDependencies): OpRunner<StepOutcome, ExecOp, HeldCaches> {
  const { settings, times, steps } = dependencies;
  return {
    cacheKey: (op) =>
      Promise.resolve(
        digestOfJson({
          op: op as unknown as JsonValue,
          hosts: settings.extraHosts.map((host) => host.split(/[:=]/, 1)[0] ?? ''),
          ulimits: settings.ulimits as unknown as JsonValue,
          times: times.identity(),
        }),
      ),
    inputKey: async (op, index, input) => {
      if (index === op.base || input.kind !== 'tree') return undefined;
      const sources = op.mounts.flatMap((mount) =>
        (mount.type === 'bind' || mount.type === 'cache') && mount.input === index ? [mount.source] : [],
      );
      return treeContentKey(input.tree, sources);
    },
    check: async () => {
      await (await steps()).runtimeName();
    },
    reserve: async (op, signal) =>
      op.mounts.some(({ type }) => type === 'cache') ? (await steps()).takeCaches(op, signal) : undefined,
    run: async (op, inputs, context) => {
      const base = op.base === undefined ? [] : layersOf(inputs[op.base]);
      const { signal, held: caches } = context;
      await using sources = await mountSources(op, inputs, { settings, signal });
      const { exitCode, oomKilled, layer, leaks } = await (
        await steps()
      ).run(
        {
          id: context.vertex.digest.slice(7, 23),
          op: sources.op,
          layers: base.map((one) => one.layer),
          binds: sources.binds,
          env: settings.proxyEnv,
          secrets: settings.secrets,
          sshSockets: settings.sshSockets,
          extraHosts: settings.extraHosts,
          shmSize: settings.shmSize,
          ulimits: settings.ulimits,
          ...times.clamp(),
          gate: dependencies.gate?.data,
        },
        {
          caches,
          onOutput: (stream, data) => {
            context.emit({ type: 'log', id: context.vertex.digest, stream, data, time: Date.now() });
            return settings.drained?.();
          },
          signal,
        },
      );
      if (layer === undefined) throw stepFailed(op, { exitCode, oomKilled }, context);
      return { kind: 'layers', layers: [...base, dependencies.layers.made(layer, leaks, context)] };
    },
  };
}

function stepFailed(
  op: ExecOp,
  step: { readonly exitCode: number; readonly oomKilled?: boolean },
  context: RunContext,
): BuildError {
  const { exitCode, oomKilled = false } = step;
  const reason = oomKilled ? 'cannot allocate memory' : `exit code: ${exitCode}`;
  return new BuildError(
    'STEP_FAILED',
    `process ${shownCommand(op.args)} did not complete successfully: ${reason}`,
    {
      details: { exitCode, oomKilled, command: op.args, step: context.vertex.digest },
      hint: oomKilled
        ? 'the kernel killed it, as the memory of this machine or container was used up'
        : statusHints[exitCode],
    },
  );
}

const statusHints: Readonly<Record<number, string>> = {
  126: 'a command was found but could not be executed',
  127: 'a command was not found in the image',
  137: 'it was killed by SIGKILL, most often for want of memory',
};

/** A script may be long, and stands in the Dockerfile. */
const longestCommand = 200;

function shownCommand(args: readonly string[]): string {
  const text = args.join(' ');
  return goQuote(text.length <= longestCommand ? text : `${text.slice(0, longestCommand - 1)}…`);
}

/** Throws ENTITLEMENT_REQUIRED, at its line, for a step that asks for a right that was not granted, whether it is known or has to run. */
export function requireEntitlements(definition: Definition, allow: ReadonlySet<string>): void {
  for (const { op, meta } of definition.vertices) {
    if (op.kind !== 'exec') continue;
    const needed = [
      ...(op.security === 'insecure' ? ['security.insecure'] : []),
      ...(op.network === 'host' ? ['network.host'] : []),
    ].filter((right) => !allow.has(right));
    if (needed.length === 0) continue;
    throw new BuildError(
      'ENTITLEMENT_REQUIRED',
      `the step asks for ${needed.join(' and ')}, which was not allowed`,
      {
        source: meta.source,
        hint: `if you trust this Dockerfile, build with ${needed.map((right) => `--allow ${right}`).join(' ')}`,
      },
    );
  }
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
  inputs: readonly StepOutcome[],
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
      const directory = await mkdtemp(join(await settings.tempDir(), 'bind-'));
      temporary.push(directory);
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
