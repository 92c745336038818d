import { closeSync, openSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { diskSpace } from '../store/disk-space.ts';
import type { PruneRequest } from '../store/prune.ts';
import { choose } from '../store/prune.ts';
import { surveyStore } from '../store/usage.ts';
import type { Session } from './session.ts';
import { maintainStore } from './store-task.ts';
import type { BuildOptions } from './types.ts';

/** Between two looks at the store, milliseconds; less where the disk is nearly full. */
const usualInterval = 24 * 3_600_000;
const urgentInterval = 3_600_000;
/** A look may take so long, then it is given up until the next. */
const patience = 5000;
const gigabyte = 1e9;

/** `TSBUILD_GC=off`, or the option. */
export function collects(options: Pick<BuildOptions, 'gc'>, env: NodeJS.ProcessEnv): boolean {
  return options.gc ?? !/^(?:off|0|false|no)$/i.test(env['TSBUILD_GC'] ?? '');
}

/** BuildKit's default policy (KM-2): each rule prunes on its own, the mildest first. */
export function defaultPolicy({ total }: { readonly total: number }): readonly PruneRequest[] {
  const limits = {
    reservedSpace: Math.min(total * 0.1, 10 * gigabyte),
    maxUsedSpace: Math.min(total * 0.8, 100 * gigabyte),
    minFreeSpace: total * 0.2,
  };
  return [
    {
      all: true,
      filters: ['type~=^(source\\.local|source\\.git\\.checkout|exec\\.cachemount)$,until=48h'],
      maxUsedSpace: 512e6,
    },
    { all: true, filters: ['until=60d'], ...limits },
    { filters: ['private'], ...limits },
    { all: true, ...limits },
  ];
}

/**
 * Automatic pruning, at the end of a build that has written something: at most once a day, or once an hour where the disk is nearly full. Never
 * fails, and takes seconds at most where there is nothing to do. What this build has used stays.
 */
export async function collectAfterBuild(options: BuildOptions, session: Session): Promise<void> {
  const { store } = session;
  if (!collects(options, session.env) || !isDue(store.root)) return;
  const signal = AbortSignal.any([session.signal, AbortSignal.timeout(patience)]);
  try {
    const survey = await surveyStore(store.root, store.state, { signal });
    const disk = diskSpace(store.root);
    for (const request of defaultPolicy(disk)) {
      const surroundings = { now: Date.now(), free: disk.free };
      if (choose(survey, request, surroundings).length > 0)
        await makeSmaller(session, request, session.signal);
    }
  } catch {
    // The build itself has succeeded; the next one looks again.
  }
}

/** Prunes beside this build, which is at work. */
export async function makeSmaller(
  session: Session,
  request: PruneRequest,
  signal: AbortSignal,
): Promise<void> {
  await session.store.tempDir();
  await maintainStore(
    session,
    { kind: 'prune', request: { all: true, ...request }, wait: 1000, beside: true },
    signal,
  );
}

function isDue(root: string): boolean {
  const stamp = join(root, 'last-gc');
  const last = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs;
  const now = Date.now();
  const { free, total } = diskSpace(root);
  const interval = free < total * 0.2 ? urgentInterval : usualInterval;
  if (last !== undefined && now - last < interval && last <= now) return false;
  try {
    closeSync(openSync(stamp, 'a', 0o600));
    utimesSync(stamp, now / 1000, now / 1000);
  } catch {
    return false;
  }
  // A new store has nothing that is old.
  return last !== undefined;
}
