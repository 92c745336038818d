import { closeSync, constants, fstatSync, openSync, statSync, unlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { flock } from '../host/syscalls.ts';
import { storeError } from './store-error.ts';

/** An exclusive kernel lock (flock) on a file: it ends with its process, however that ends. */
export interface Lock extends AsyncDisposable, Disposable {
  release(): void;
}

const LOCK_EX = 2;
const LOCK_NB = 4;

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Remove the file on release: for locks of which there are many. */
  readonly remove?: boolean | undefined;
}

/**
 * Waits until the lock on the file (made when missing) is ours. It works between processes and within one. Polls, since a blocking
 * flock would stop the whole process: it takes at most 50 ms longer than needed. Throws the signal's reason, or STORE_FAILED.
 */
export async function lockFile(path: string, options: LockOptions = {}): Promise<Lock> {
  for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
    options.signal?.throwIfAborted();
    const lock = tryLockFile(path, options);
    if (lock !== undefined) return lock;
    await sleep(pause, undefined, options.signal === undefined ? {} : { signal: options.signal }).catch(
      () => {
        options.signal?.throwIfAborted();
      },
    );
  }
}

/** The lock, or undefined when another holds it (or has just removed the file: ask again). */
export function tryLockFile(path: string, options: Pick<LockOptions, 'remove'> = {}): Lock | undefined {
  try {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    return own(fd, path, options.remove === true);
  } catch (error) {
    throw storeError(error, `locking ${path}`);
  }
}

/** Locks a directory itself; undefined when another holds it or it is gone. */
export function tryLockDirectory(path: string): Lock | undefined {
  try {
    return own(
      openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW),
      path,
      false,
    );
  } catch (error) {
    // Gone, or a link or file of somebody else, which is nothing to be looked after.
    if (['ENOENT', 'ELOOP', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return undefined;
    throw storeError(error, `locking ${path}`);
  }
}

/** Whether somebody holds a lock on a file or directory, which is not made and no link. Looking takes it for a moment. */
export function isLocked(path: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return false;
  }
  try {
    return !flock(fd, LOCK_EX | LOCK_NB);
  } finally {
    closeSync(fd);
  }
}

function own(fd: number, path: string, remove: boolean): Lock | undefined {
  let held = false;
  try {
    // Invariant: a lock counts only when the file still has its name; who removes one does so while holding its lock.
    held = flock(fd, LOCK_EX | LOCK_NB) && isSameFile(fd, path);
  } finally {
    if (!held) closeSync(fd);
  }
  if (!held) return undefined;
  let released = false;
  const release = (): void => {
    if (released) return;
    released = true;
    try {
      if (remove) unlinkSync(path);
    } catch {
      // A lock file that stays is only an empty file.
    } finally {
      closeSync(fd);
    }
  };
  return {
    release,
    [Symbol.dispose]: release,
    [Symbol.asyncDispose]: () => {
      release();
      return Promise.resolve();
    },
  };
}

function isSameFile(fd: number, path: string): boolean {
  const named = statSync(path, { throwIfNoEntry: false, bigint: true });
  const open = fstatSync(fd, { bigint: true });
  return named !== undefined && named.ino === open.ino && named.dev === open.dev;
}
