import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeTree } from './remove-tree.ts';

/** A directory that only this user can enter, removed with all that is in it when disposed of. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
}

/** Makes a directory with a random name below `parent` (which must exist; default: the system's), mode 0700. */
export async function makeTempDir(parent: string = tmpdir(), prefix: string = 'tsbuild-'): Promise<TempDir> {
  const path = await mkdtemp(join(parent, prefix));
  return { path, [Symbol.asyncDispose]: () => removeTree(path) };
}
