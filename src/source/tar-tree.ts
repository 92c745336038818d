import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { applyEntries } from '../image/apply.ts';
import type { Entry, EntryStream } from '../image/entry.ts';
import type { Tree } from '../image/tree.ts';
import { BuildError } from '../util/build-error.ts';
import { removeTree } from '../util/remove-tree.ts';
import { contextTree } from './context-tree.ts';

/** A context that lies in a directory of ours. */
export interface UnpackedTree extends AsyncDisposable {
  readonly directory: string;
  readonly tree: Tree;
  /** The latest mtime in the archive. Seconds. */
  time(): Promise<number>;
}

/**
 * Unpacks an archive from outside into a new directory below `tempDir`, and shows it as a context. Owners are ignored; nothing of it
 * leaves the directory (S-P-3), and devices and FIFOs do not reach the disk. Disposing removes the directory. Throws
 * CONTEXT_INVALID for an archive that is damaged or leads out, and what applyEntries throws of the disk.
 */
export async function unpackTree(
  entries: EntryStream,
  options: {
    readonly tempDir: () => Promise<string>;
    readonly signal?: AbortSignal | undefined;
    readonly modes?: 'git' | undefined;
  },
): Promise<UnpackedTree> {
  const directory = await mkdtemp(join(await options.tempDir(), 'context-'));
  const dispose = (): Promise<void> => removeTree(directory);
  let newest = 0n;
  async function* timed(): AsyncGenerator<Entry> {
    for await (const entry of withoutDevices(entries)) {
      if (entry.mtime > newest) newest = entry.mtime;
      yield entry;
    }
  }
  try {
    await applyEntries(timed(), directory, {
      form: 'plain',
      owners: 'ignore',
      signal: options.signal,
    });
  } catch (error) {
    await dispose();
    if (!(error instanceof BuildError) || !['COPY_INVALID', 'IMAGE_INVALID'].includes(error.code))
      throw error;
    throw new BuildError('CONTEXT_INVALID', `the context archive cannot be used: ${error.message}`, {
      cause: error,
    });
  }
  return {
    directory,
    tree: contextTree(directory, { modes: options.modes }),
    time: () => Promise.resolve(Number(newest / 1_000_000_000n)),
    [Symbol.asyncDispose]: dispose,
  };
}

async function* withoutDevices(entries: EntryStream): AsyncGenerator<Entry> {
  for await (const entry of entries) {
    if (entry.type === 'char' || entry.type === 'block' || entry.type === 'fifo') continue;
    // What a context reads must be readable by us; setuid bits mean nothing before a layer is made, and are kept.
    yield entry.type === 'directory' ? { ...entry, mode: entry.mode | 0o700 } : entry;
  }
}
