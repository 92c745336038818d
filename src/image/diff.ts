import type { BigIntStats } from 'node:fs';
import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { isUtf8 } from 'node:buffer';
import { deviceNumbers, lgetxattr, llistxattr } from '../host/syscalls.ts';
import { BuildError } from '../util/build-error.ts';
import type { Entry } from './entry.ts';
import { compareBytes, joinPath } from './entry-path.ts';
import { fileContent } from './file-content.ts';
import type { Owner } from './owners.ts';
import { ownerOf } from './owners.ts';
import { isPortableXattr } from './xattr.ts';

/** PATH_MAX, less what helpers such as extended attributes put before or after it. */
const LONGEST_PATH = 4000;

/**
 * What an overlayfs upper directory says about the layers below it, as entries: siblings sorted by bytes, parents first;
 * the root itself is left out, and so are sockets. Files with several names come once as a file, then as hard links.
 * Reading contents needs the directory until the stream is used up; nobody may write to it meanwhile.
 * Throws UNSUPPORTED_HERE for names that are not UTF-8 and for overlay features that tsbuild never turns on.
 */
export async function* overlayDiff(upper: string, options: DiffOptions = {}): AsyncGenerator<Entry> {
  yield* walk({ ...options, root: upper, links: new Map() });
}

/**
 * Reads entries of a directory one by one, with the rules of `overlayDiff`: undefined for a socket. Of an inode with several names the first
 * that is asked for is the file, and others are hard links to it.
 */
export function entryReader(root: string, options: DiffOptions = {}): (path: string) => Entry | undefined {
  const state: State = { ...options, root, links: new Map() };
  return (path) => entryOf(state, path);
}

export interface DiffOptions {
  /** Told the full path of each socket. */
  readonly onSocket?: (path: string) => void;
  /** Default: what the file and its attributes say. */
  readonly ownerOf?: ((path: string, stat: BigIntStats) => Owner) | undefined;
}

interface State extends DiffOptions {
  readonly root: string;
  /** First path of each inode with several names. */
  readonly links: Map<string, string>;
}

/** With a stack of its own: the time for an entry does not depend on how deep it is. */
function* walk(state: State): Generator<Entry> {
  const waiting = namesOf(state.root, '').toReversed();
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const entry = entryOf(state, path);
    if (entry === undefined) continue;
    yield entry;
    if (entry.type !== 'directory') continue;
    if (isOpaque(`${state.root}/${path}`)) {
      yield { path, type: 'opaque', mode: 0, uid: 0, gid: 0, size: 0, mtime: 0n };
    }
    for (const below of namesOf(state.root, path).toReversed()) waiting.push(below);
  }
}

/** Paths of what is in a directory of `root`, sorted by bytes. Throws UNSUPPORTED_HERE for names that are not UTF-8. */
export function namesOf(root: string, directory: string): string[] {
  const names = readdirSync(directory === '' ? root : `${root}/${directory}`, { encoding: 'buffer' });
  return names
    .map((name) => {
      if (isUtf8(name)) return name.toString();
      throw new BuildError(
        'UNSUPPORTED_HERE',
        `the step made a file whose name is not UTF-8: /${joinPath(directory, name.toString('latin1'))}`,
        { hint: 'remove or rename it in the same RUN' },
      );
    })
    .toSorted(compareBytes)
    .map((name) => joinPath(directory, name));
}

function entryOf(state: State, path: string): Entry | undefined {
  const full = `${state.root}/${path}`;
  // No call of the system takes a longer name; a program gets there step by step.
  if (Buffer.byteLength(full) > LONGEST_PATH)
    throw new BuildError(
      'UNSUPPORTED_HERE',
      `the step made a path that is too long: /${path.slice(0, 60)}...`,
      {
        hint: 'remove it in the same RUN',
      },
    );
  const stat = lstatSync(full, { bigint: true });
  if (stat.isSocket()) {
    state.onSocket?.(full);
    return undefined;
  }
  if (stat.isCharacterDevice() && stat.rdev === 0n) {
    return { path, type: 'whiteout', mode: 0, uid: 0, gid: 0, size: 0, mtime: 0n };
  }
  const common = {
    path,
    mode: Number(stat.mode) & 0o7777,
    ...(state.ownerOf ?? ownerOf)(full, stat),
    size: 0,
    mtime: stat.mtimeNs,
    ...xattrsOf(full),
  };
  if (!stat.isDirectory() && stat.nlink > 1n) {
    const inode = `${stat.dev}:${stat.ino}`;
    const first = state.links.get(inode);
    if (first !== undefined) return { ...common, type: 'hardlink', linkTarget: first };
    state.links.set(inode, path);
  }
  return { ...common, ...typed(stat, full) };
}

function typed(stat: BigIntStats, full: string): Pick<Entry, 'type'> & Partial<Entry> {
  if (stat.isFile()) return { type: 'file', size: Number(stat.size), content: () => fileContent(full) };
  if (stat.isDirectory()) return { type: 'directory' };
  if (stat.isSymbolicLink()) return { type: 'symlink', mode: 0o777, linkTarget: linkText(full) };
  if (stat.isFIFO()) return { type: 'fifo' };
  const { major, minor } = deviceNumbers(stat.rdev);
  return { type: stat.isBlockDevice() ? 'block' : 'char', devMajor: major, devMinor: minor };
}

function linkText(full: string): string {
  const target = readlinkSync(full, { encoding: 'buffer' });
  if (isUtf8(target)) return target.toString();
  throw new BuildError(
    'UNSUPPORTED_HERE',
    `the step made a symbolic link to a name that is not UTF-8: ${full}`,
  );
}

function xattrsOf(full: string): { xattrs?: Record<string, Uint8Array> } {
  const names = llistxattr(full);
  if (names.some((name) => /^(trusted|user)\.overlay\.(redirect|metacopy)$/.test(name))) {
    throw new BuildError('UNSUPPORTED_HERE', 'the overlay mount uses redirect_dir or metacopy', {
      details: { path: full },
    });
  }
  const found: [string, Uint8Array][] = [];
  for (const name of names.filter(isPortableXattr).toSorted()) {
    const value = lgetxattr(full, name);
    if (value !== undefined) found.push([name, value]);
  }
  return found.length === 0 ? {} : { xattrs: Object.fromEntries(found) };
}

function isOpaque(full: string): boolean {
  return ['trusted.overlay.opaque', 'user.overlay.opaque'].some(
    (name) => lgetxattr(full, name)?.toString() === 'y',
  );
}
