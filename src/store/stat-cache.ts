import { dirname } from 'node:path';
import type { DirectoryRecord, StatRecord, State } from './state-record.ts';

/** Of lstat with `bigint: true`. */
export interface FileStat {
  readonly size: bigint | number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
  readonly dev: bigint;
}

/** Remembers the digest of a file's content, so that an unchanged file is not read again. `digest` is any text of the caller's. */
export interface StatCache {
  get(path: string, stat: FileStat): string | undefined;
  /** `stat` was taken before the content was read. Too fresh a file is not remembered. */
  set(path: string, stat: FileStat, digest: string): void;
  /** The digest of a directory of which all names and stamps are what they were. */
  directory(path: string, listing: DirectoryListing): string | undefined;
  /** `listing` was taken before the files were read. Not remembered when one of them is too fresh. */
  setDirectory(path: string, listing: DirectoryListing, digest: string): void;
}

/** What a directory has, as one look at it has found. */
export interface DirectoryListing {
  /** In the order in which the system tells them, which is the same as long as nothing changes. */
  readonly names: readonly string[];
  /** Of each name size, mtime and ctime in milliseconds with fractions, inode and device. */
  readonly stamps: Float64Array;
}

/** How many numbers of `stamps` belong to one name. */
export const stampLength = 5;

/** Kernels stamp files by their tick, which is at most 10 ms. */
const fineTick = 20_000_000n;
/** Filesystems that keep whole seconds (two, on FAT). */
const coarseTick = 2_000_000_000n;

/**
 * Git's racy rule (technical/racy-git): a file that is written within the clock tick in which it was looked at keeps its times, so a digest is
 * kept only for files whose mtime and ctime lie safely before the look. The look cannot be earlier than `openedAt` (ms), the start of
 * the build: measuring from there errs towards reading once more.
 */
export function openStatCache(state: State, openedAt: number): StatCache {
  const opened = BigInt(Math.floor(openedAt)) * 1_000_000n;
  const find = bulkReader(state);
  return {
    get: (path, stat) => {
      const known = find(path);
      return known !== undefined &&
        known.size === BigInt(stat.size) &&
        known.mtimeNs === wrap(stat.mtimeNs) &&
        known.ctimeNs === wrap(stat.ctimeNs) &&
        known.ino === wrap(stat.ino) &&
        known.dev === wrap(stat.dev)
        ? known.digest
        : undefined;
    },
    set: (path, stat, digest) => {
      const { mtimeNs, ctimeNs } = stat;
      const newest = mtimeNs > ctimeNs ? mtimeNs : ctimeNs;
      const tick = ctimeNs % 1_000_000_000n === 0n ? coarseTick : fineTick;
      if (newest + tick >= opened) return;
      state.putStat({
        path,
        size: BigInt(stat.size),
        mtimeNs: wrap(mtimeNs),
        ctimeNs: wrap(ctimeNs),
        ino: wrap(stat.ino),
        dev: wrap(stat.dev),
        digest,
      });
    },
    ...directoryCache(state, openedAt),
  };
}

function directoryCache(state: State, openedAt: number): Pick<StatCache, 'directory' | 'setDirectory'> {
  const known = new Map<string, DirectoryRecord>();
  const read: string[] = [];
  const find = (path: string): DirectoryRecord | undefined => {
    if (!read.some((above) => path === above || path.startsWith(`${above}/`))) {
      for (const record of state.directoriesBelow(path)) known.set(record.path, record);
      read.push(path);
    }
    return known.get(path);
  };
  return {
    directory: (path, { names, stamps }) => {
      const record = find(path);
      // No name has a slash.
      return record?.names === names.join('/') && bytesOf(stamps).equals(record.stamps)
        ? record.digest
        : undefined;
    },
    setDirectory: (path, { names, stamps }, digest) => {
      for (let at = 0; at < stamps.length; at += stampLength) {
        const [mtime, ctime] = [stamps[at + 1] ?? 0, stamps[at + 2] ?? 0];
        const tick = Number(ctime % 1000 === 0 ? coarseTick : fineTick) / 1e6;
        if (Math.max(mtime, ctime) + tick >= openedAt) return;
      }
      const record = { path, names: names.join('/'), stamps: bytesOf(stamps), digest };
      known.set(path, record);
      state.putDirectory(record);
    },
  };
}

function bytesOf(stamps: Float64Array): Buffer {
  return Buffer.from(stamps.buffer, stamps.byteOffset, stamps.byteLength);
}

/** After this many single questions, all answers below the directory common to them are read at once. */
const questionsBeforeBulk = 50;
const bulkLimit = 200_000;

/** Walks ask for thousands of files; a question of its own costs three times what a row of many does. */
function bulkReader(state: State): (path: string) => StatRecord | undefined {
  const known = new Map<string, StatRecord>();
  let read: string | undefined;
  let common: string | undefined;
  let questions = 0;
  return (path) => {
    if (read !== undefined && path.startsWith(`${read}/`)) return state.pendingStat(path) ?? known.get(path);
    common = commonDirectory(common ?? dirname(path), path);
    questions++;
    if (questions >= questionsBeforeBulk) {
      const rows = state.statsBelow(common, bulkLimit);
      for (const row of rows) known.set(row.path, row);
      // Cut off at the limit, what is missing must still be asked for singly.
      read = rows.length < bulkLimit ? common : undefined;
      questions = 0;
      common = undefined;
    }
    return state.stat(path);
  };
}

function commonDirectory(directory: string, path: string): string {
  let common = directory;
  while (!path.startsWith(`${common}/`) && common !== dirname(common)) common = dirname(common);
  return common === '/' ? '' : common;
}

/** Inode numbers may use all 64 bits; the index has signed ones. */
function wrap(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}
