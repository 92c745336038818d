import { dirname } from 'node:path';
import type { StatRecord, State } from './state-record.ts';

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
}

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
  };
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
