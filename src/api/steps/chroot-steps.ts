import type { ChrootExecutor, ChrootResult } from '../../executor/chroot/chroot-executor.ts';
import type { ChrootRequest } from '../../executor/chroot/stand-in-mounts.ts';
import type { LayerStore } from '../../image/layer-store.ts';
import type { Store } from '../../store/store.ts';
import { BuildError } from '../../util/build-error.ts';
import { keptCaches } from './kept-caches.ts';
import { inspectionOf } from './local-steps.ts';
import type { FailedStep, HeldCaches, RunningStep, Steps, StepTask } from './steps.ts';

/** Executes steps in this process without namespaces (`--isolation=chroot`). */
export function chrootSteps({
  executor,
  layerStore,
  store,
}: {
  readonly executor: ChrootExecutor;
  readonly layerStore: LayerStore;
  readonly store: Store;
}): Steps {
  return {
    inspectRuntimes: () => Promise.resolve({ checks: [], runtime: 'chroot' }),
    ...keptCaches(store),
    check: (platform) => executor.check(platform),
    takeCaches: (op, signal) => executor.takeCaches(op, signal),
    async run(task, running) {
      const request = requestOf(task, running);
      const result = await executor.run(request);
      const { exitCode } = result;
      const ended = { exitCode, oomKilled: false, layer: undefined, leaks: [] };
      if (exitCode !== 0 && running.keepFailed === true)
        return { ...ended, failed: failedStep(request, result) };
      const inspection = task.gate && (await inspectionOf(task.gate));
      try {
        if (exitCode !== 0) {
          await result.discard();
          return ended;
        }
        const layer = await layerStore.fromEntries(streamOf(result.entries), {
          clampMtime: task.clampMtime,
          watch: inspection && ((entries) => inspection.watch(entries)),
          signal: running.signal,
        });
        await result.keep(layer.knownDiffId);
        return { ...ended, layer, leaks: inspection?.leaks ?? [] };
      } catch (error) {
        await result.discard();
        throw error;
      }
    },
    async shell(task, opening) {
      const request = requestOf({ ...task, op: { ...task.op, args: opening.args } }, opening);
      const result = await executor.run(request, opening.terminal);
      await result.discard();
      return { exitCode: result.exitCode };
    },
    async runContainer({ layers, args, env, cwd, user, network, hostname = 'tsbuild', ...task }) {
      if (task.volumes !== undefined && task.volumes.length > 0)
        throw new BuildError(
          'UNSUPPORTED_HERE',
          'with --isolation=chroot nothing of the host can be mounted',
        );
      const result = await executor.run(
        {
          id: 'run',
          op: {
            ...{ args, env, cwd, user, network, hostname },
            ...{ mounts: [], files: [], security: 'sandbox', platform: task.platform },
          },
          layers,
          binds: new Map(),
          env: [],
          secrets: { get: () => Promise.resolve(undefined) },
          sshSockets: {},
          extraHosts: [],
          isolated: task.isolated,
          onOutput: task.onOutput,
          signal: task.signal,
        },
        task.interactive ? (task.tty ? 'tty' : 'plain') : undefined,
      );
      await result.discard();
      return { exitCode: result.exitCode };
    },
    [Symbol.asyncDispose]: () => executor[Symbol.asyncDispose](),
  };
}

function failedStep(request: ChrootRequest, result: ChrootResult): FailedStep {
  return {
    shell: ({ args, terminal, onOutput, signal }) =>
      result.again({ ...request, op: { ...request.op, args }, onOutput, signal }, terminal),
    [Symbol.asyncDispose]: () => result.discard(),
  };
}

function requestOf(
  task: StepTask,
  { caches, onOutput, signal }: Pick<RunningStep, 'caches' | 'onOutput' | 'signal'>,
): ChrootRequest {
  const { gate: _, limits, ...rest } = task;
  return { ...rest, limits, caches: taken(caches), onOutput, signal };
}

function taken(caches: HeldCaches | undefined): ChrootRequest['caches'] {
  if (caches !== undefined && 'token' in caches) throw new TypeError('these caches are held elsewhere');
  return caches;
}

async function* streamOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
