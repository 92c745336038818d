import { statfsSync } from 'node:fs';

/** The filesystem that a directory is on, in bytes: what this user may still write, and all of it. */
export function diskSpace(path: string): { readonly free: number; readonly total: number } {
  const { bavail, blocks, bsize } = statfsSync(path);
  return { free: bavail * bsize, total: blocks * bsize };
}
