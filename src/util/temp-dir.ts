import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A directory that only this user can enter, removed with all that is in it when disposed of. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
}

/** Makes a directory with a random name below `parent` (which must exist; default: the system's), mode 0700. */
export async function makeTempDir(parent: string = tmpdir(), prefix: string = 'tsbuild-'): Promise<TempDir> {
  const path = await mkdtemp(join(parent, prefix));
  return { path, [Symbol.asyncDispose]: () => removeTree(path) };
}

/**
 * Removes a file or a directory with all below it; nothing there is no error. Directories without permission bits, as steps may leave them,
 * are opened up first. Never follows links. Throws the error of node:fs for what it cannot remove.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'ENOTEMPTY') throw error;
    await openUp(path);
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function openUp(directory: string): Promise<void> {
  await chmod(directory, 0o700);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await openUp(join(directory, entry.name));
  }
}
