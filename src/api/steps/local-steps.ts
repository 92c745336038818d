import type {
  CacheDirectories,
  Executor,
  MountSource,
  StepRequest,
  StepResult,
} from '../../executor/executor.ts';
import type { EntryStream } from '../../image/entry.ts';
import type { LayerStore } from '../../image/layer-store.ts';
import type { Diagnostic } from '../../util/diagnostic.ts';
import type { Session } from '../session.ts';
import type { LayerInspection, SecretGateData } from '../../image/secret-scan.ts';
import { keptCaches } from './kept-caches.ts';
import { LayerStacks } from './layer-stacks.ts';
import type { FailedStep, HeldCaches, RunningStep, ShellOpening, Steps, StepTask } from './steps.ts';

/** Executes steps in this process, which must have the rights of root, be it in a user namespace. */
export function localSteps({
  executor,
  layerStore,
  session,
}: {
  readonly executor: Executor;
  readonly layerStore: LayerStore;
  readonly session: Session;
}): Steps {
  const stacks = new LayerStacks(session.store);
  const discards: Promise<void>[] = [];
  let told = false;
  /** What a step has left is no reason for a build to fail: the next one removes it. */
  const discard = async (step: StepResult): Promise<void> => {
    try {
      await step.discard();
    } catch (error) {
      if (!told) session.emit({ type: 'diagnostic', diagnostic: leftoverWarning(error) });
      told = true;
    }
  };
  const open = (place: StepRequest, opening: ShellOpening): Promise<{ readonly exitCode: number }> => {
    const { args, terminal, onOutput, signal } = opening;
    return executor.open({ ...place, op: { ...place.op, args }, onOutput, signal }, terminal);
  };
  return {
    async inspectRuntimes() {
      const { inspectRuntimes } = await import('../../executor/doctor.ts');
      return inspectRuntimes({ root: session.store.root, env: session.env });
    },
    ...keptCaches(session.store),
    check: (platform) => executor.check(platform),
    takeCaches: (op, signal) => executor.takeCaches(op, signal),
    async run(task, { caches, onOutput, signal, keepFailed = false }) {
      const request = await requestOf(task, { caches, onOutput, signal, stacks });
      const step = await executor.run(request);
      const { exitCode, upper, ownerOf, oomKilled = false } = step;
      if (exitCode !== 0 && keepFailed) {
        const place = { ...request, layers: [...request.layers, upper] };
        const failed: FailedStep = {
          shell: (opening) => open(place, opening),
          [Symbol.asyncDispose]: () => discard(step),
        };
        return { exitCode, oomKilled, layer: undefined, leaks: [], failed };
      }
      const inspection = task.gate && (await inspectionOf(task.gate));
      const watch = inspection && ((entries: EntryStream): EntryStream => inspection.watch(entries));
      try {
        const layer =
          exitCode === 0
            ? await layerStore.fromDirectory(upper, {
                clampMtime: task.clampMtime,
                ...{ ownerOf, watch, signal },
              })
            : undefined;
        return { exitCode, oomKilled, layer, leaks: inspection?.leaks ?? [] };
      } finally {
        // Nobody waits for it but the end of the build.
        discards.push(discard(step));
      }
    },
    shell: async (task, opening) => open(await requestOf(task, { ...opening, stacks }), opening),
    runContainer: async (task) =>
      executor.runContainer({ ...task, layers: await stacks.directories(task.layers, task.signal) }),
    async [Symbol.asyncDispose]() {
      await Promise.all(discards);
    },
  };
}

function leftoverWarning(error: unknown): Diagnostic {
  return {
    severity: 'warning',
    rule: 'StepLeftovers',
    message: `what a step has left cannot be removed: ${error instanceof Error ? error.message : String(error)}`,
    hint: 'the next build tries it again',
  };
}

interface Requesting extends Pick<RunningStep, 'caches' | 'onOutput' | 'signal'> {
  readonly stacks: LayerStacks;
}

async function requestOf(
  task: StepTask,
  { caches, onOutput, signal, stacks }: Requesting,
): Promise<StepRequest> {
  const { layers: _layers, binds: _binds, clampMtime: _clamp, gate: _gate, ...rest } = task;
  return {
    ...{ ...rest, onOutput, signal },
    layers: await stacks.directories(task.layers, signal),
    binds: await mountSources(task, stacks, signal),
    caches: taken(caches),
  };
}

/** Loaded for builds with secrets alone. */
export async function inspectionOf(gate: SecretGateData): Promise<LayerInspection> {
  const { LayerInspection: Inspection } = await import('../../image/secret-scan.ts');
  return new Inspection(gate);
}

async function mountSources(
  { binds }: StepTask,
  stacks: LayerStacks,
  signal: AbortSignal,
): Promise<ReadonlyMap<number, MountSource>> {
  const sources = new Map<number, MountSource>();
  for (const [index, source] of binds) {
    const ready =
      source.kind === 'directory'
        ? source
        : { kind: source.kind, directories: await stacks.directories(source.layers, signal) };
    sources.set(index, ready);
  }
  return sources;
}

function taken(caches: HeldCaches | undefined): CacheDirectories | undefined {
  if (caches !== undefined && 'token' in caches) throw new TypeError('these caches are held elsewhere');
  return caches;
}
