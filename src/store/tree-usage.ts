import { closeSync, constants, lstatSync, openSync, opendirSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

/** What a tree takes on its disk. */
export interface TreeUsage {
  /** Blocks, not lengths: holes cost nothing, a small file a whole block. */
  readonly bytes: number;
  readonly files: number;
  /** False: something may not be read, so that more is there. */
  readonly complete: boolean;
  /** Newest mtime of what is directly at the top, milliseconds. */
  readonly newest: number;
}

/** Files with several names, by device and inode: their bytes count once, for whoever asks first. */
export type SeenLinks = Map<string, number>;

/** Names longer than this are left behind by opening the directory: the kernel takes 4,095 bytes. */
const longName = 3000;
const entriesBetweenPauses = 2000;

interface Waiting {
  readonly path: Buffer;
  /** To be closed when all below it is done. */
  readonly base: OpenBase | undefined;
}

/** An open directory that stands for a long way. */
interface OpenBase {
  readonly fd: number;
  users: number;
  readonly above: OpenBase | undefined;
}

/**
 * Measures a file or a directory with all below it, never through links, however deep and however many: what it holds in memory are the names of
 * directories that it has not seen yet. What vanishes meanwhile, or may not be read, counts as far as it is known. Throws the signal's reason.
 */
export async function treeUsage(
  top: string,
  { signal, seen = new Map() }: { readonly signal?: AbortSignal | undefined; readonly seen?: SeenLinks } = {},
): Promise<TreeUsage> {
  let bytes = 0;
  let files = 0;
  let newest = 0;
  let complete = true;
  const count = (stat: Stats): void => {
    files += 1;
    if (stat.nlink > 1 && !stat.isDirectory() && isCounted(stat, seen)) return;
    bytes += stat.blocks * 512;
  };
  const first = lstatSync(top, { throwIfNoEntry: false });
  if (first === undefined) return { bytes, files, newest, complete };
  count(first);
  newest = first.mtimeMs;
  const waiting: Waiting[] = first.isDirectory() ? [{ path: Buffer.from(top), base: undefined }] : [];
  let entries = 0;
  try {
    for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) {
      const { path, base } = shortened(item);
      try {
        for (const name of namesIn(path, () => (complete = false))) {
          entries += 1;
          if (entries % entriesBetweenPauses === 0) {
            await setImmediate();
            signal?.throwIfAborted();
          }
          const place = Buffer.concat([path, slash, name]);
          const stat = lstatOf(place);
          if (stat === undefined) continue;
          count(stat);
          if (path.length === top.length && base === undefined) newest = Math.max(newest, stat.mtimeMs);
          if (!stat.isDirectory()) continue;
          if (base !== undefined) base.users += 1;
          waiting.push({ path: place, base });
        }
      } finally {
        leave(base);
      }
    }
  } finally {
    for (const { base } of waiting) leave(base);
  }
  return { bytes, files, newest, complete };
}

const slash = Buffer.from('/');

/** Its other names were seen, and it was counted there. */
function isCounted(stat: Stats, seen: SeenLinks): boolean {
  const key = `${stat.dev}:${stat.ino}`;
  const left = seen.get(key);
  // Forgotten with its last name, so that memory holds only what has names still to come.
  if (left === undefined) seen.set(key, stat.nlink - 1);
  else if (left <= 1) seen.delete(key);
  else seen.set(key, left - 1);
  return left !== undefined;
}

function* namesIn(path: Buffer, onFailure: () => void): Generator<Buffer> {
  let directory;
  try {
    directory = opendirSync(path, { encoding: 'buffer' as BufferEncoding, bufferSize: 256 });
  } catch {
    onFailure();
    return;
  }
  try {
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
      // Names are bytes; the types know only texts.
      yield entry.name as unknown as Buffer;
    }
  } catch {
    onFailure();
  } finally {
    directory.closeSync();
  }
}

function lstatOf(path: Buffer): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** The same directory by a shorter way, where its name is long: through an open descriptor. */
function shortened(item: Waiting): Waiting {
  if (item.path.length < longName || process.platform !== 'linux') return item;
  try {
    const fd = openSync(item.path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    return { path: Buffer.from(`/proc/self/fd/${fd}`), base: { fd, users: 1, above: item.base } };
  } catch {
    return item;
  }
}

function leave(base: OpenBase | undefined): void {
  for (let at = base; at !== undefined; at = at.above) {
    at.users -= 1;
    if (at.users > 0) return;
    closeSync(at.fd);
  }
}
