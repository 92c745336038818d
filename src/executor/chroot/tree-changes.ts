import type { BigIntStats } from 'node:fs';
import { closeSync, fstatSync, lstatSync, openSync, rmSync, unlinkSync, writeSync } from 'node:fs';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { lutimes } from '../../host/syscalls.ts';
import { entryReader, namesOf } from '../../image/diff.ts';
import { compareBytes, parentPath } from '../../image/entry-path.ts';
import type { Entry } from '../../image/entry.ts';

// What a step has changed in a plain directory, found by looking at it before and after. The time of an inode's last change (ctime) is the
// kernel's own: no program can set it back, so whatever has the same is the same.

interface Seen {
  readonly ino: bigint;
  /** Numbers of inodes are used again. 0 where the filesystem does not know. */
  readonly born: bigint;
  readonly ctime: bigint;
  readonly directory: boolean;
}

/** A directory with all below it at one moment; paths are relative to it. */
export interface TreeState {
  readonly root: string;
  /** Parents before children, siblings sorted. */
  readonly seen: ReadonlyMap<string, Seen>;
  /** What was not looked at, with all below it. */
  readonly covered: ReadonlySet<string>;
}

/** Looks at all that is below `root`. Nobody may write there meanwhile. */
export async function lookAt(root: string, covered: ReadonlySet<string>): Promise<TreeState> {
  const seen = new Map<string, Seen>();
  const waiting = [''];
  for (let path = waiting.pop(), count = 0; path !== undefined; path = waiting.pop(), count += 1) {
    const stat = lstatSync(path === '' ? root : `${root}/${path}`, { bigint: true });
    seen.set(path, seenOf(stat));
    if (count % 1024 === 1023) await setImmediate();
    if (!stat.isDirectory()) continue;
    for (const below of namesOf(root, path).toReversed()) if (!covered.has(below)) waiting.push(below);
  }
  return { root, seen, covered };
}

function seenOf(stat: BigIntStats): Seen {
  return {
    ino: stat.ino,
    born: stat.birthtimeNs,
    ctime: stat.ctimeNs,
    directory: stat.isDirectory(),
  };
}

/**
 * Waits until whatever is changed from now on has a later time than all that was seen: kernels count in ticks of some milliseconds, a few
 * filesystems in seconds. `file` is one on the same filesystem, made and removed here.
 */
export async function untilLater({ seen }: TreeState, file: string): Promise<void> {
  let newest = 0n;
  for (const { ctime } of seen.values()) if (ctime > newest) newest = ctime;
  const fd = openSync(file, 'wx', 0o600);
  try {
    for (;;) {
      writeSync(fd, '.', 0);
      if (fstatSync(fd, { bigint: true }).ctimeNs > newest) return;
      await sleep(2);
    }
  } finally {
    closeSync(fd);
    unlinkSync(file);
  }
}

/**
 * What has changed since, as the entries of a layer: changed and new files with the directories above them, whiteouts for what is gone, an
 * opaque mark for a directory in the place of another. Sockets are removed. With `clampMtime` files get the earlier times. The
 * same order and the same entries as of an overlay in which the same was done; contents are read later.
 */
export async function changes(
  before: TreeState,
  options: {
    /** Directories that were made for the step alone, and whose absence means nothing. */
    readonly ours: ReadonlySet<string>;
    readonly clampMtime?: bigint | undefined;
  },
): Promise<Entry[]> {
  const { root } = before;
  const after = await lookAt(root, before.covered);
  const changed = changedPaths(before, after, options.ours);
  const read = entryReader(root, { onSocket: (path) => rmSync(path) });
  const entries: Entry[] = [];
  for (const path of [...changed.keys()].toSorted(inOrder)) {
    if (changed.get(path) === 'gone') {
      entries.push({ path, type: 'whiteout', ...nothing });
      continue;
    }
    const entry = read(path);
    if (entry === undefined) continue;
    const { clampMtime } = options;
    if (clampMtime !== undefined && entry.mtime > clampMtime)
      lutimes(`${root}/${path}`, clampMtime, clampMtime);
    entries.push(entry);
    if (changed.get(path) === 'replaced') entries.push({ path, type: 'opaque', ...nothing });
  }
  return entries;
}

const nothing = { mode: 0, uid: 0, gid: 0, size: 0, mtime: 0n } as const;

type Change = 'changed' | 'replaced' | 'gone';

function changedPaths(
  before: TreeState,
  after: TreeState,
  ours: ReadonlySet<string>,
): ReadonlyMap<string, Change> {
  const changed = new Map<string, Change>();
  const add = (path: string, change: Change): void => {
    changed.set(path, change);
    for (let parent = parentPath(path); parent !== '' && !changed.has(parent); parent = parentPath(parent))
      changed.set(parent, 'changed');
  };
  for (const [path, now] of after.seen) {
    // One that was made for the step counts with what the step has put into it.
    if (path === '' || ours.has(path)) continue;
    const old = before.seen.get(path);
    const same = old !== undefined && old.ino === now.ino && old.born === now.born;
    if (same && old.ctime === now.ctime) continue;
    const another = old !== undefined && now.directory && !(old.directory && same);
    add(path, another ? 'replaced' : 'changed');
  }
  for (const path of before.seen.keys()) {
    if (path === '' || after.seen.has(path) || ours.has(path)) continue;
    const parent = parentPath(path);
    // Below what is gone, is no directory any more, or is another one, nothing of before shows through.
    const place = after.seen.get(parent);
    if (place === undefined || !place.directory || changed.get(parent) === 'replaced') continue;
    add(path, 'gone');
  }
  return changed;
}

/** Parents first, siblings by their bytes. */
function inOrder(a: string, b: string): number {
  return compareBytes(a.replaceAll('/', '\0'), b.replaceAll('/', '\0'));
}
