import { statfsSync } from 'node:fs';

/** The filesystem that a directory is on, in bytes: what this user may still write, and all of it. */
export function diskSpace(path: string): { readonly free: number; readonly total: number } {
  const { bavail, blocks, bsize } = statfsSync(path);
  return { free: bavail * bsize, total: blocks * bsize };
}

/** Less than what a small file, or an index and the files beside it, grow by in one step. */
const little = 2 ** 17;

/**
 * Is the disk of a directory full? Asked after a failure whose own words do not say why: those of SQLite and of runtimes. False where the
 * directory cannot be looked at.
 */
export function hasNoRoom(directory: string): boolean {
  try {
    return diskSpace(directory).free < little;
  } catch {
    return false;
  }
}
