import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { removeTree } from '../util/remove-tree.ts';
import { tryLockDirectory } from './lock.ts';
import { storeError } from './store-error.ts';

/** `<root>/tmp/<pid>-<random>`: unfinished work of one open store. It is locked while its process lives, so others can tell. */
export interface ProcessDir extends AsyncDisposable {
  readonly path: string;
}

/** Makes and locks a directory, and removes those of dead processes: process ids tell nothing across containers, kernel locks do. */
export async function makeProcessDir(root: string): Promise<ProcessDir> {
  const parent = join(root, 'tmp');
  try {
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    await removeDead(parent);
    for (;;) {
      const path = join(parent, `${process.pid}-${randomBytes(6).toString('hex')}`);
      mkdirSync(path, { mode: 0o700 });
      // Between these two lines another process may take it for a dead one: then the lock is not ours, and the next name is tried.
      const lock = tryLockDirectory(path);
      if (lock === undefined) continue;
      return {
        path,
        [Symbol.asyncDispose]: async () => {
          await removeTree(path).catch((error: unknown) => {
            throw storeError(error, `removing ${path}`);
          });
          lock.release();
        },
      };
    }
  } catch (error) {
    throw storeError(error, `making a directory in ${parent}`);
  }
}

/** Whether a directory of `tmp/` is that of an open store, by its name. */
export function isProcessDirName(name: string): boolean {
  return /^\d+-[a-f0-9]{12}$/.test(name);
}

async function removeDead(parent: string): Promise<void> {
  for (const name of readdirSync(parent)) {
    const path = join(parent, name);
    if (!isProcessDirName(name)) continue;
    const lock = tryLockDirectory(path);
    if (lock === undefined) continue;
    // What cannot be removed now (files of another user id) is tried again by the next build; this one can work all the same.
    await removeTree(path).catch(() => undefined);
    lock.release();
  }
}

/** When the oldest process that still works in this store began, in ms; undefined when none does. */
export function oldestLiveProcess(root: string, own: string | undefined): number | undefined {
  const parent = join(root, 'tmp');
  let names: string[];
  try {
    names = readdirSync(parent);
  } catch {
    return undefined;
  }
  let oldest: number | undefined;
  for (const name of names) {
    const path = join(parent, name);
    if (path === own || !isProcessDirName(name)) continue;
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) continue;
    const lock = tryLockDirectory(path);
    if (lock === undefined) oldest = Math.min(oldest ?? Infinity, stat.birthtimeMs);
    else lock.release();
  }
  return oldest;
}
