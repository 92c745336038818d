import type { OpRunner, OpRunners } from '../solver/runner.ts';
import { diskSpace } from '../store/disk-space.ts';
import { surveyStore } from '../store/usage.ts';
import { BuildError } from '../util/build-error.ts';
import { formatByteSize, readByteSize } from '../util/byte-size.ts';
import type { StepOutcome } from './result.ts';
import type { Session } from './session.ts';
import type { BuildOptions } from './types.ts';

/** Less than this cannot hold what a step writes about itself. Of a small disk a twentieth. */
const leastFree = 16 * 1024 * 1024;

/** This far below the ceiling, at least, an estimate will do. */
const nearBytes = 512 * 1024 * 1024;

/**
 * Checked before each step that has to run: that the disk has room, and that the store is below its ceiling, which an automatic prune is given a
 * chance to make true. Better said then than by a program that meets a full disk in the middle of its work.
 */
export interface SpaceGuard {
  /** Throws DISK_FULL, STORE_FULL. */
  check(signal: AbortSignal): Promise<void>;
}

export function spaceGuard(options: BuildOptions, session: Session): SpaceGuard {
  const limit = options.storeLimit ?? fromEnvironment(session.env, 'TSBUILD_STORE_LIMIT');
  const least = options.minFreeSpace ?? fromEnvironment(session.env, 'TSBUILD_MIN_FREE_SPACE');
  const { root } = session.store;
  let last: { readonly used: number; readonly free: number } | undefined;
  const measure = async (signal: AbortSignal): Promise<number> => {
    const { bytes } = await surveyStore(root, session.store.state, { signal });
    last = { used: bytes, free: diskSpace(root).free };
    return bytes;
  };
  /** What has gone from the disk since the last look counts as the store's. Others may write there too, and what they remove hides as much. */
  const about = (): number =>
    last === undefined ? Infinity : last.used + Math.max(0, last.free - diskSpace(root).free);
  const belowCeiling = async (ceiling: number, signal: AbortSignal): Promise<void> => {
    // Near the ceiling only a look at the store itself counts.
    if (about() < ceiling - Math.max(ceiling / 10, nearBytes) || (await measure(signal)) < ceiling) return;
    await makeRoom(options, session, { ceiling, signal });
    const now = await measure(signal);
    if (now < ceiling) return;
    throw new BuildError(
      'STORE_FULL',
      `the store takes ${formatByteSize(now)}, and may take ${formatByteSize(ceiling)}`,
      {
        hint: 'remove images that you do not need (`tsbuild rmi`), then `tsbuild prune --all`, or raise --store-limit',
        details: { used: now, limit: ceiling },
      },
    );
  };
  let queue: Promise<void> = Promise.resolve();
  return {
    check: async (signal) => {
      const { free, total } = diskSpace(root);
      const needed = least ?? Math.min(leastFree, total / 20);
      if (free < needed) {
        throw new BuildError(
          'DISK_FULL',
          `the disk of the store has ${formatByteSize(free)} left, too little for a step`,
          {
            hint: 'free some space: `tsbuild du` shows what the store takes, `tsbuild prune` removes what nobody uses',
            details: { free, needed, root },
          },
        );
      }
      if (limit === undefined) return;
      // One after the other: steps that start at once would all measure, and all prune.
      const turn = queue.then(() => belowCeiling(limit, signal));
      queue = turn.catch(() => undefined);
      await turn;
    },
  };
}

/** What has been used in this build stays. */
async function makeRoom(
  options: BuildOptions,
  session: Session,
  { ceiling, signal }: { readonly ceiling: number; readonly signal: AbortSignal },
): Promise<void> {
  const { collects, makeSmaller } = await import('./gc.ts');
  if (collects(options, session.env)) await makeSmaller(session, { maxUsedSpace: ceiling * 0.9 }, signal);
}

/** The same runners; those that write layers of their own look at the space first. */
export function guardedRunners(runners: OpRunners<StepOutcome>, guard: SpaceGuard): OpRunners<StepOutcome> {
  return { ...runners, exec: guarded(runners.exec, guard), copy: guarded(runners.copy, guard) };
}

function guarded<R extends Pick<OpRunner<StepOutcome>, 'run'>>(runner: R, guard: SpaceGuard): R {
  const run: OpRunner<StepOutcome>['run'] = async (op, inputs, context) => {
    await guard.check(context.signal);
    return runner.run(op, inputs, context);
  };
  return { ...runner, run };
}

function fromEnvironment(env: NodeJS.ProcessEnv, name: string): number | undefined {
  const text = env[name] ?? '';
  if (text === '') return undefined;
  const bytes = readByteSize(text);
  if (bytes === undefined)
    throw new BuildError('USAGE', `${name} is no size: \`${text}\``, { hint: 'write it like 20g' });
  return bytes;
}
