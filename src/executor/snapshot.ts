import { makeDirectories } from '../util/make-directories.ts';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmdirSync, symlinkSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { returnMoved } from './chroot/moved-caches.ts';
import { endProcessesIn } from './chroot/orphans.ts';
import { removeCgroups } from './step-cgroups.ts';
import { mappedIds } from '../host/probe.ts';
import { tryLockDirectory } from '../store/lock.ts';
import { BuildError } from '../util/build-error.ts';
import { removeTree } from '../util/remove-tree.ts';

// The directory of one step: snapshots/<id>/{upper,work,merged,l/<n>}. It is locked while the step lives, so that what dead
// processes left can be told from what is in use.

/** A step's directory in the store. */
export interface Snapshot {
  readonly id: string;
  readonly directory: string;
  /** Frees the lock and removes everything. */
  discard(): Promise<void>;
}

/** OVL_MAX_STACK of the kernel. */
const MAX_LAYERS = 500;
/** One page, with its NUL. */
const MAX_OPTIONS = 4095;
/** Of the page, for names of lower directories: the rest is for other options. */
const MAX_PLAIN = 3800;

/** Makes a step's directory below `<root>/snapshots`. */
export function makeSnapshot(root: string): Snapshot {
  const parent = join(root, 'snapshots');
  makeDirectories(parent, 0o700);
  for (;;) {
    const id = randomBytes(8).toString('hex');
    const directory = join(parent, id);
    mkdirSync(directory, { mode: 0o700 });
    // Between these two lines another process may take it for that of a dead one: then the lock is not ours, and the next name is tried.
    const lock = lockOrRemove(directory);
    if (lock === undefined) continue;
    const discard = async (): Promise<void> => {
      try {
        await removeTree(directory);
      } finally {
        lock.release();
      }
    };
    return { id, directory, discard };
  }
}

function lockOrRemove(directory: string): ReturnType<typeof tryLockDirectory> {
  try {
    return tryLockDirectory(directory);
  } catch (error) {
    rmdirSync(directory);
    throw error;
  }
}

/**
 * Lays out an overlay in `directory` and says its mount options, with names relative to `base`, of which `directory` is a
 * sub directory or itself (`prefix` is the way there). All options must fit into one page; a path with `:` or `,` is no trouble. Throws UNSUPPORTED_HERE for more layers than the kernel takes.
 */
export function layOutOverlay(
  directory: string,
  prefix: string,
  layout: { readonly lower: readonly string[]; readonly writable: boolean },
): string {
  mkdirSync(join(directory, 'merged'), { mode: 0o700 });
  const lower = withoutRepeats(layout.lower);
  // At least one lower directory, at least two without an upper one; an empty one changes nothing.
  const fillers = ['empty', 'none'].slice(0, Math.max(0, (layout.writable ? 1 : 2) - lower.length));
  for (const name of fillers) mkdirSync(join(directory, name), { mode: 0o755 });
  const names = [...fillers.map((name) => `${prefix}${name}`), ...namesOfLower(directory, prefix, lower)];
  const options = [`lowerdir=${names.toReversed().join(':')}`];
  if (layout.writable) {
    const upper = join(directory, 'upper');
    mkdirSync(upper);
    mkdirSync(join(directory, 'work'), { mode: 0o700 });
    // The root directory of an overlay shows the attributes of its upper directory.
    chmodSync(upper, 0o755);
    // volatile: nobody needs what a crash leaves, and without it the unmount flushes the whole filesystem.
    options.push(`upperdir=${prefix}upper`, `workdir=${prefix}work`, 'volatile');
  }
  // The upper directory must be a plain diff: no redirects, no metadata-only copies.
  options.push('redirect_dir=nofollow', 'metacopy=off', 'index=off');
  // In a user namespace the kernel keeps its marks in attributes that the user may write.
  if (mappedIds() !== undefined) options.push('userxattr');
  const text = options.join(',');
  if (lower.length > MAX_LAYERS || text.length > MAX_OPTIONS)
    throw new BuildError('UNSUPPORTED_HERE', `the kernel cannot stack ${lower.length} layers for a step`, {
      hint: 'join steps, or copy the files of many steps into a stage that begins with FROM scratch',
    });
  return text;
}

/** Names without marks that mean something to overlayfs: as they are while these are few, else links with short names. */
function namesOfLower(directory: string, prefix: string, lower: readonly string[]): readonly string[] {
  const base = resolve(
    directory,
    ...prefix
      .split('/')
      .slice(1)
      .map(() => '..'),
  );
  const plain = lower.map((path) => relative(base, path));
  if (plain.join(':').length < MAX_PLAIN && plain.every((name) => /^[\w./-]+$/.test(name))) return plain;
  mkdirSync(join(directory, 'l'), { mode: 0o700 });
  return lower.map((path, index) => {
    symlinkSync(path, join(directory, 'l', String(index)));
    return `${prefix}l/${index}`;
  });
}

/**
 * The kernel refuses a directory that is twice in a stack (ELOOP), and equal layers are one directory: two steps that change
 * nothing make such. The topmost stays, since it covers all that the others show or hide.
 */
function withoutRepeats(lower: readonly string[]): readonly string[] {
  return [...new Set(lower.toReversed())].toReversed();
}

/** Removes the directories of steps whose process is gone. What cannot be removed stays, and is no reason to build nothing any more. */
export async function removeStaleSnapshots(root: string): Promise<void> {
  const parent = join(root, 'snapshots');
  for (const id of list(parent)) {
    const directory = join(parent, id);
    const lock = tryLockDirectory(directory);
    if (lock === undefined) continue;
    try {
      await removeCgroups(directory, `tsbuild-${id}`);
      if (existsSync(join(directory, 'rootfs'))) {
        endProcessesIn(directory);
        returnMoved(directory);
      }
      await removeTree(directory).catch(() => {});
    } finally {
      lock.release();
    }
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => /^[0-9a-f]{16}$/.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
