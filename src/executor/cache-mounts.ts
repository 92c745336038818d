import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { flock, LOCK_EX, LOCK_NB, LOCK_SH } from '../host/syscalls.ts';
import { giveTo } from '../image/owners.ts';
import type { CacheSharing } from './step.ts';

// Directories of cache mounts (L-MNT-2): <root>/cache-mounts/<sha256 of the id>/{lock,id,data}, and for `private` further ones
// with a number. Whoever uses a directory holds a kernel lock on it: shared users together, others alone.

export interface CacheRequest {
  readonly id: string;
  readonly sharing: CacheSharing;
}

export interface CacheDirectory {
  /** What the step mounts; exists once `commit` was called. */
  readonly path: string;
  /** Nobody has used it before: initial content goes into this directory, then `commit`. */
  readonly staging: string | undefined;
  /** Gives a new directory its owner and makes it appear. Does nothing for a known one. */
  commit(owner: { readonly mode: number; readonly uid: number; readonly gid: number }): void;
}

export interface CacheDirectories extends Disposable {
  get(id: string): CacheDirectory;
}

/** How often a lock that another process holds is tried again, in milliseconds. */
const POLL = 50;

/**
 * Takes the cache directories of one step, in the order of their ids (so two steps never wait for each other). An id may
 * occur several times; its strictest sharing counts. Waits as long as others hold them; rejects with the signal's reason.
 */
export async function takeCacheDirectories(
  root: string,
  requests: readonly CacheRequest[],
  signal: AbortSignal,
): Promise<CacheDirectories> {
  const order: readonly CacheSharing[] = ['shared', 'private', 'locked'];
  const wanted = new Map<string, CacheSharing>();
  for (const { id, sharing } of requests) {
    const known = wanted.get(id);
    if (known === undefined || order.indexOf(sharing) > order.indexOf(known)) wanted.set(id, sharing);
  }
  const locks: number[] = [];
  const directories = new Map<string, CacheDirectory>();
  const release = (): void => {
    for (const lock of locks.splice(0)) closeSync(lock);
  };
  try {
    for (const id of [...wanted.keys()].toSorted()) {
      const taken = await take(baseOf(root, id), id, wanted.get(id) ?? 'shared', signal);
      locks.push(taken.lock);
      directories.set(id, directoryAt(taken.path, taken.lock, wanted.get(id) ?? 'shared'));
    }
  } catch (error) {
    release();
    throw error;
  }
  return {
    get(id) {
      const found = directories.get(id);
      if (found === undefined) throw new Error(`cache mount ${id} was not taken`);
      return found;
    },
    [Symbol.dispose]: release,
  };
}

/** Where there is a link or a pipe in its place, neither is followed or waited for: a link that leads nowhere would look like a directory that is gone. */
const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
const lockFlags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK;

/** undefined: its directory has just been removed. */
function openLock(path: string): number | undefined {
  try {
    return openSync(path, lockFlags, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isFile(fd: number, path: string): boolean {
  const [open, named] = [fstatSync(fd), statSync(path, { throwIfNoEntry: false })];
  return named !== undefined && open.ino === named.ino && open.dev === named.dev;
}

/** For `du` and `prune`: when it was used, and what it is called. */
function noteUse(path: string, id: string): void {
  const now = Date.now() / 1000;
  utimesSync(join(path, 'lock'), now, now);
  if (!existsSync(join(path, 'id'))) writeFileSync(join(path, 'id'), `${id}\n`, { mode: 0o600 });
}

/** Whether a step has used a cache mount here: it has content of its own. */
export function hasCacheDirectory(root: string, id: string): boolean {
  return existsSync(join(baseOf(root, id), 'data'));
}

/** Shows the directory of a cache mount while nobody else uses it; undefined where there is none. Waits as a step does. */
export async function withCacheDirectory<T>(
  place: { readonly root: string; readonly id: string },
  signal: AbortSignal,
  use: (directory: string) => Promise<T>,
): Promise<T | undefined> {
  const { root, id } = place;
  if (!hasCacheDirectory(root, id)) return undefined;
  using taken = await takeCacheDirectories(root, [{ id, sharing: 'locked' }], signal);
  const { path, staging } = taken.get(id);
  // Removed while we waited: then this is a new one.
  return staging === undefined ? await use(path) : undefined;
}

/** Fills the directory of a cache mount that nobody has used here, and gives it its owner. False: somebody has. */
export async function fillCacheDirectory(
  place: { readonly root: string; readonly id: string },
  signal: AbortSignal,
  fill: (staging: string) => Promise<Parameters<CacheDirectory['commit']>[0]>,
): Promise<boolean> {
  const { root, id } = place;
  using taken = await takeCacheDirectories(root, [{ id, sharing: 'locked' }], signal);
  const directory = taken.get(id);
  if (directory.staging === undefined) return false;
  directory.commit(await fill(directory.staging));
  return true;
}

function baseOf(root: string, id: string): string {
  return join(root, 'cache-mounts', createHash('sha256').update(id).digest('hex'));
}

async function take(
  base: string,
  id: string,
  sharing: CacheSharing,
  signal: AbortSignal,
): Promise<{ readonly lock: number; readonly path: string }> {
  for (let number = 0; ;) {
    signal.throwIfAborted();
    const path = number === 0 ? base : `${base}.${number}`;
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const lock = openLock(join(path, 'lock'));
    if (lock === undefined) continue;
    // A directory that is still to be seeded belongs to one step alone, also when it is to be shared.
    const fresh = !existsSync(join(path, 'data'));
    if (flock(lock, (sharing === 'shared' && !fresh ? LOCK_SH : LOCK_EX) | LOCK_NB)) {
      // It may have been removed before the lock was ours (`tsbuild prune`).
      if (fresh === !existsSync(join(path, 'data')) && isFile(lock, join(path, 'lock'))) {
        noteUse(path, id);
        return { lock, path };
      }
      closeSync(lock);
      continue;
    }
    closeSync(lock);
    if (sharing === 'private') number += 1;
    else await sleep(POLL, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

function directoryAt(base: string, lock: number, sharing: CacheSharing): CacheDirectory {
  const path = join(base, 'data');
  if (existsSync(path)) return { path, staging: undefined, commit: () => {} };
  const staging = join(base, 'staging');
  // Of a process that died while it copied.
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { mode: 0o700 });
  return {
    path,
    staging,
    commit({ mode, uid, gid }) {
      if (existsSync(path)) return;
      giveTo(staging, { uid, gid });
      chmodSync(staging, mode);
      renameSync(staging, path);
      if (sharing === 'shared') flock(lock, LOCK_SH | LOCK_NB);
    },
  };
}
