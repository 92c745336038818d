import type { State } from './state-record.ts';

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
  return {
    get: (path, stat) => {
      const known = state.stat(path);
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

/** Inode numbers may use all 64 bits; the index has signed ones. */
function wrap(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}
