import { existsSync, lstatSync, mkdtempSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../oci/digest.ts';
import { BuildError } from '../util/build-error.ts';
import { removeTree } from '../util/remove-tree.ts';
import { diskSpace } from './disk-space.ts';
import { readIndex, withStoreLock } from './layout.ts';
import type { Lock } from './lock.ts';
import { tryLockDirectory, tryLockFile } from './lock.ts';
import { oldestLiveProcess } from './process-dir.ts';
import { parsePruneFilter } from './prune-filter.ts';
import type { Store } from './store.ts';
import { storeError } from './store-error.ts';
import { mark } from './sweep.ts';
import type { Item, Survey, UsageRecord } from './usage.ts';
import { surveyStore } from './usage.ts';

/** What is to go (KM-2, KM-3). Sizes in bytes. Without sizes everything goes that the filters mean. */
export interface PruneRequest {
  /** Also what images of the store were made of; their blobs always stay. */
  readonly all?: boolean | undefined;
  /** As `parsePruneFilter` reads them. A record is meant when all of them hold. */
  readonly filters?: readonly string[] | undefined;
  /** What the store may take; the longest unused goes first. */
  readonly maxUsedSpace?: number | undefined;
  /** What is to be free on the disk. */
  readonly minFreeSpace?: number | undefined;
  /** The store is not made smaller than this for the sake of free space. */
  readonly reservedSpace?: number | undefined;
  /** Only tell. */
  readonly dryRun?: boolean | undefined;
}

export interface Pruned {
  /** In the order in which they went. */
  readonly removed: readonly UsageRecord[];
  readonly freed: number;
  /** What the store takes after it. */
  readonly left: number;
}

export interface PruneSurroundings {
  readonly now: number;
  readonly signal?: AbortSignal | undefined;
  /** How long commands that only read are waited for, milliseconds. */
  readonly wait: number;
  /** The store is that of a build: what it has used is in use. Else it is open for pruning alone. */
  readonly beside?: boolean | undefined;
}

/**
 * Removes what is asked for and is not in use. Never what an image of the store needs, what a running build has used, and nothing outside the
 * store: links are neither followed nor removed. Names go in one moment, under the store's locks; the bytes after it.
 * Throws STORE_FAILED where another command holds the store too long, and the signal's reason.
 */
export async function pruneStore(
  store: Store,
  request: PruneRequest,
  { now, signal, wait, beside }: PruneSurroundings,
): Promise<Pruned> {
  const ownTempDir = request.dryRun === true ? undefined : await store.tempDir();
  const started = Date.now();
  const own = beside === true ? undefined : ownTempDir;
  const survey = await surveyStore(store.root, store.state, { signal, ownTempDir: own });
  const chosen = choose(survey, request, { now, free: diskSpace(store.root).free });
  if (chosen.length === 0 || ownTempDir === undefined) return result(survey, chosen);
  signal?.throwIfAborted();
  const trash = mkdtempSync(join(ownTempDir, 'pruned-'));
  using alone = await store.useLock.alone(wait);
  if (alone === undefined) {
    throw new BuildError('STORE_FAILED', 'the store is in use by a command that still reads from it', {
      hint: 'run this again when that command has ended',
    });
  }
  const removed = await withStoreLock(store.root, () =>
    Promise.resolve(takeAway(store, chosen, { trash, started, own })),
  );
  alone[Symbol.dispose]();
  await removeTree(trash).catch((error: unknown) => {
    throw storeError(error, 'removing what was pruned');
  });
  if (removed.some(({ named, type }) => named !== undefined || type === 'source.local'))
    store.state.upkeep.compact();
  return result(survey, removed);
}

function result(survey: Survey, items: readonly Item[]): Pruned {
  const freed = items.reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    removed: items.map(({ paths: _paths, named: _named, ...record }) => record),
    freed,
    left: survey.bytes - freed,
  };
}

/** The items that go, the longest unused first. */
export function choose(
  survey: Survey,
  request: PruneRequest,
  { now, free }: { readonly now: number; readonly free: number },
): readonly Item[] {
  const filters = (request.filters ?? []).map(parsePruneFilter);
  const meant = survey.items
    .filter((item) => item.reclaimable && (request.all === true || !item.shared))
    .filter((item) => filters.every((matches) => matches(item, now)))
    // Of what was used at once the topmost first: what is below it may serve others.
    .toSorted((a, b) => a.lastUsedAt - b.lastUsedAt || b.createdAt - a.createdAt);
  const keep = bytesToKeep(survey.bytes, request, free);
  if (keep === undefined) return meant;
  const chosen: Item[] = [];
  let left = survey.bytes;
  for (const item of meant) {
    if (left <= keep) break;
    chosen.push(item);
    left -= item.bytes;
  }
  return chosen;
}

/** As BuildKit reckons it (KM-2). undefined: no limit was given. */
function bytesToKeep(total: number, request: PruneRequest, free: number): number | undefined {
  const { maxUsedSpace, minFreeSpace, reservedSpace } = request;
  if (maxUsedSpace === undefined && minFreeSpace === undefined && reservedSpace === undefined)
    return undefined;
  const lacking = Math.max(0, (minFreeSpace ?? 0) - free);
  const keep = Math.min(
    maxUsedSpace ?? Infinity,
    lacking > 0 ? total - lacking : Infinity,
    // A reserve alone is what is kept.
    maxUsedSpace === undefined && minFreeSpace === undefined ? (reservedSpace ?? Infinity) : Infinity,
  );
  return Math.max(keep, reservedSpace ?? 0);
}

interface Taking {
  readonly trash: string;
  /** When the survey began: what was used later stays. */
  readonly started: number;
  /** No running build: the caller's own directory. */
  readonly own: string | undefined;
}

/** Under both locks: moves out of the way what is still unused, and forgets it. */
function takeAway(store: Store, chosen: readonly Item[], taking: Taking): readonly Item[] {
  const { root, state } = store;
  // Records have whole milliseconds, and the kernel stamps files by its tick.
  const since = Math.floor(Math.min(taking.started, oldestLiveProcess(root, taking.own) ?? Infinity));
  const needed = mark(
    join(root, 'blobs', 'sha256'),
    readIndex(root).manifests.map(({ digest }) => digest),
  );
  /** What records name, and all that goes with it. */
  const doomed = new Map<Digest, Item[]>();
  for (const item of chosen) {
    if (item.named !== undefined) doomed.set(item.named, [...(doomed.get(item.named) ?? []), item]);
  }
  let count = 0;
  const move = (path: string): boolean => {
    if (path.startsWith('blobs/') && needed.has(`sha256:${path.slice('blobs/sha256/'.length)}`)) return false;
    if (isUsedSince(join(root, path), since)) return false;
    count += 1;
    return moved(join(root, path), join(taking.trash, String(count)));
  };
  state.transaction(() => {
    for (const row of state.recordRows()) {
      if (row.lastUsed >= since) for (const digest of row.digests) doomed.delete(digest);
    }
    // What a build has just marked stays with its records.
    for (const [digest, items] of doomed) {
      const paths = items.flatMap((item) => item.paths);
      if (paths.some((path) => isUsedSince(join(root, path), since))) doomed.delete(digest);
    }
    const keys = [...state.recordRows()]
      .filter(({ digests }) => digests.some((digest) => doomed.has(digest)))
      .map(({ key }) => key);
    for (const key of keys) state.deleteCacheRecord(key);
    if (keys.length > 0) state.removeUnusedComponents();
  });
  const removed = chosen.filter((item) => {
    if (item.named !== undefined) return doomed.has(item.named) && item.paths.map(move).some(Boolean);
    if (item.type === 'source.local') {
      state.upkeep.removeStats();
      return true;
    }
    using lock = lockOf(item, root);
    const marks = item.type === 'exec.cachemount' ? item.paths.map((path) => join(root, path, 'lock')) : [];
    if (marks.some((path) => existsSync(path) && isUsedSince(path, since))) return false;
    return lock.free && item.paths.map(move).some(Boolean);
  });
  state.transaction(() => {
    const lost = [...state.layerRows()].filter(({ digest }) => !store.blobs.has(digest));
    for (const { digest } of lost) state.deleteLayer(digest);
  });
  return removed;
}

/** At most, milliseconds. */
const tick = 10;

function isUsedSince(path: string, since: number): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat === undefined || stat.mtimeMs >= since - tick;
}

/** False for what cannot be moved: it stays. */
function moved(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}

/** What others may hold is locked before it goes. */
function lockOf(item: Item, root: string): Disposable & { readonly free: boolean } {
  const path = join(root, item.paths[0] ?? '');
  let lock: Lock | undefined;
  let free = true;
  if (item.type === 'exec.cachemount') {
    const file = join(path, 'lock');
    if (lstatSync(file, { throwIfNoEntry: false })?.isFile() === true) {
      lock = tryLockFile(file);
      free = lock !== undefined;
    }
  } else if (item.type === 'internal' && lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    lock = tryLockDirectory(path);
    free = lock !== undefined;
  }
  return { free, [Symbol.dispose]: () => lock?.release() };
}
