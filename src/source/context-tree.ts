import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { resolve as resolvePath } from 'node:path';
import { deviceNumbers, lgetxattr, llistxattr } from '../host/syscalls.ts';
import type { Entry } from '../image/entry.ts';
import { compareBytes, joinPath, parentPath } from '../image/entry-path.ts';
import { resolveInRootSync } from '../image/root-path.ts';
import type { Tree } from '../image/tree.ts';
import { isPortableXattr, xattrList } from '../image/xattr.ts';
import { digestOfJson } from '../oci/digest.ts';
import { BuildError } from '../util/build-error.ts';
import { exhaustion, inWords } from '../util/system-error.ts';
import { changed, digestContent, openContent } from './file-content.ts';
import type { IgnoreFile } from './ignore.ts';
import type { DirectoryCache } from './known-directories.ts';
import { KnownDirectories } from './known-directories.ts';

/** What decides whether a file is still the one whose digest is remembered. */
export interface FileStamp {
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
  readonly dev: bigint;
}

/** Remembers digests of files across builds. The implementation refuses stamps that are too young to be trusted. */
export interface StatCache extends DirectoryCache {
  get(absolutePath: string, stat: FileStamp): string | undefined;
  set(absolutePath: string, stat: FileStamp, digest: string): void;
}

export interface ContextTreeOptions {
  /** Hides what it excludes. It must not be shared with another tree. */
  readonly ignore?: IgnoreFile | undefined;
  /** Paths that are not there. */
  readonly without?: ReadonlySet<string> | undefined;
  readonly statCache?: StatCache | undefined;
  /** Keep the owners of the files; without it they are 0:0 (L-COPY-11). */
  readonly keepOwners?: boolean | undefined;
  /** As Tree has it; default: the build context. */
  readonly about?: Tree['about'] | undefined;
  /** `git`: 0755 for directories and what its owner may execute, else 0644, so that the umask of the checkout does not show. */
  readonly modes?: 'git' | undefined;
  /** Instead of the times of the files, in nanoseconds. */
  readonly mtime?: bigint | undefined;
}

/**
 * A local directory as a tree (C-IN-1): owners 0:0, times in nanoseconds, sockets as empty files (L-COPY-10). Directories are
 * read when they are asked for, each once: what changes during the build is not seen, and a file that is written or replaced between its
 * digest and its copy is an error. No link is followed on the way to a file. Throws CONTEXT_INVALID with the path for what the
 * system does not let us read.
 */
export function contextTree(directory: string, options: ContextTreeOptions = {}): Tree {
  const { ignore, without, statCache } = options;
  const hides = ignore !== undefined || (without?.size ?? 0) > 0;
  const root = resolvePath(directory);
  const stats = new Map<string, BigIntStats | undefined>();
  const listings = new Map<string, readonly string[]>();
  // As the system tells them. Each directory is read once, for its digest and for copying alike: what has come between would be in no key.
  const raw = new Map<string, readonly string[]>();
  const shown = new Map<string, boolean>();

  const absolute = (path: string): string =>
    path === '' ? root : root === '/' ? `/${path}` : `${root}/${path}`;

  // The file itself; undefined where something on the way is no directory, so that no link is followed (S-P-1).
  function stat(path: string): BigIntStats | undefined {
    if (stats.has(path)) return stats.get(path);
    let found: BigIntStats | undefined;
    if (path === '' || stat(parentPath(path))?.isDirectory() === true) {
      try {
        found = lstatSync(absolute(path), { bigint: true, throwIfNoEntry: false });
      } catch (error) {
        if (!isAbsent(error)) throw unreadable(path, error);
      }
    }
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (found !== undefined) {
      const now = { mode: Number(found.mode), stamp: () => looseStamp(found) };
      if (!directories.isSame(parentPath(path), name, now)) throw changed(path);
    }
    stats.set(path, found);
    return found;
  }

  // What costs a look into the file, for all that was looked at in this build.
  const inners = new Map<string, string>();
  const directories = new KnownDirectories({
    cache: statCache,
    variant: options.modes === 'git' ? 'git:' : '',
    absolute,
    names: listed,
    visible: (path, all) => (hides ? all.filter((name) => visible(joinPath(path, name))) : all),
    textOf: (path, stamp) => {
      let found = stat(path);
      if (found === undefined) throw vanished(path);
      if (!looseStamp(found).every((value, index) => value === stamp[index])) {
        if (!found.isDirectory()) throw changed(path);
        // Something was put into it; of itself only what cannot change by that counts.
        stats.delete(path);
        found = stat(path);
        if (found === undefined) throw vanished(path);
      }
      return digestOf(path, found);
    },
    read: contentDigest,
    failed: (path, error) => {
      if (error instanceof BuildError) return error;
      return (error as NodeJS.ErrnoException).code === 'ENOENT' ? vanished(path) : unreadable(path, error);
    },
  });

  function listed(path: string): readonly string[] {
    const known = raw.get(path);
    if (known !== undefined) return known;
    const found = readdirSync(absolute(path));
    raw.set(path, found);
    return found;
  }

  function names(path: string): readonly string[] {
    const known = listings.get(path);
    if (known !== undefined) return known;
    let found: string[] = [];
    if (stat(path)?.isDirectory() === true) {
      try {
        found = [...listed(path)];
      } catch (error) {
        throw unreadable(path, error);
      }
      found.sort(compareBytes);
    }
    listings.set(path, found);
    return found;
  }

  // An excluded directory is there only as far as something below is not excluded (L-IGN-3).
  function visible(path: string): boolean {
    if (without?.has(path) === true) return false;
    if (ignore === undefined || path === '' || ignore.excluded(path) === undefined) return true;
    if (stat(path)?.isDirectory() !== true || ignore.canPrune(path)) return false;
    let answer = shown.get(path);
    if (answer === undefined) {
      answer = names(path).some((name) => visible(joinPath(path, name)));
      shown.set(path, answer);
    }
    return answer;
  }

  function list(path: string): readonly string[] {
    if (!visible(path)) return [];
    const all = names(path);
    return hides ? all.filter((name) => visible(joinPath(path, name))) : all;
  }

  function modeOf(found: BigIntStats): number {
    if (options.modes !== 'git') return Number(found.mode & 0o7777n);
    return found.isDirectory() || (found.mode & 0o100n) !== 0n ? 0o755 : 0o644;
  }

  function entryOf(path: string, found: BigIntStats): Entry {
    const common = {
      path,
      mode: modeOf(found),
      uid: options.keepOwners === true ? Number(found.uid) : 0,
      gid: options.keepOwners === true ? Number(found.gid) : 0,
      size: 0,
      mtime: options.mtime ?? found.mtimeNs,
    };
    const file = absolute(path);
    if (found.isSymbolicLink()) {
      let linkTarget;
      let now;
      try {
        linkTarget = readlinkSync(file);
        now = lstatSync(file, { bigint: true });
      } catch (error) {
        throw isAbsent(error) ? vanished(path) : unreadable(path, error);
      }
      if (!looseStamp(found).every((value, index) => value === looseStamp(now)[index])) throw changed(path);
      return { ...common, type: 'symlink', mode: 0o777, linkTarget };
    }
    if (found.isDirectory()) return withXattrs({ ...common, type: 'directory' }, file);
    if (found.isFIFO()) return withXattrs({ ...common, type: 'fifo' }, file);
    if (found.isCharacterDevice() || found.isBlockDevice()) {
      const { major, minor } = deviceNumbers(found.rdev);
      const type = found.isBlockDevice() ? 'block' : 'char';
      return withXattrs({ ...common, type, devMajor: major, devMinor: minor }, file);
    }
    const size = found.isFile() ? Number(found.size) : 0;
    const content = () => openContent({ ...stampOf(found), file, path, size });
    return withXattrs({ ...common, type: 'file', size, content: size === 0 ? noContent : content }, file);
  }

  function lookup(path: string): Entry | undefined {
    const found = stat(path);
    if (found === undefined || !visible(path)) return undefined;
    return entryOf(path, found);
  }

  async function* walk(path: string): AsyncGenerator<Entry> {
    const links = new Map<string, string>();
    const pending = [path];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const found = stat(next);
      if (found === undefined || !visible(next)) {
        if (next !== path && found === undefined) throw vanished(next);
        continue;
      }
      if (found.nlink > 1n && !found.isDirectory()) {
        const id = `${found.dev}:${found.ino}`;
        const first = links.get(id);
        if (first !== undefined) {
          const { content: _, ...entry } = entryOf(next, found);
          yield { ...entry, type: 'hardlink', size: 0, linkTarget: first };
          continue;
        }
        links.set(id, next);
      }
      yield entryOf(next, found);
      if (!found.isDirectory()) continue;
      const below = list(next);
      for (let i = below.length - 1; i >= 0; i -= 1) pending.push(joinPath(next, below[i] as string));
    }
  }

  // What costs a look into the file, bytes and extended attributes, comes from the cache or from `look`. Both change the ctime.
  function digestOf(path: string, found: BigIntStats, look?: () => string): string | undefined {
    const stamp = stampOf(found);
    const file = absolute(path);
    let inner = inners.get(path) ?? statCache?.get(file, stamp);
    if (inner === undefined) {
      if (look === undefined) return undefined;
      inner = look();
      inners.set(path, inner);
      statCache?.set(file, stamp, inner);
    }
    const owner = options.keepOwners === true ? `${found.uid},${found.gid}` : '0,0';
    const link = found.isSymbolicLink();
    const device = found.isCharacterDevice() || found.isBlockDevice() ? String(found.rdev) : '';
    // A socket becomes a file, so it counts as one.
    const kind = found.isSocket() ? 0o100000 : Number(found.mode & 0o170000n);
    // Canonical JSON of numbers and texts that need no escapes. Not hashed: keys are made of it, and those are.
    return `[${kind},${link ? 0o777 : modeOf(found)},[${owner}],"${device}","${inner}"]`;
  }

  async function contentDigest(path: string): Promise<string> {
    const found = stat(path);
    if (found === undefined || !visible(path)) throw vanished(path);
    const known = digestOf(path, found);
    if (known !== undefined) return known;
    const entry = entryOf(path, found);
    const place = { file: absolute(path), path, ...stampOf(found), size: entry.size };
    const content = found.isFile() ? await digestContent(place) : entry.type === 'file' ? emptyDigest : '';
    const inner = digestOfJson([content, entry.linkTarget ?? '', xattrList(entry.xattrs)]);
    return digestOf(path, found, () => inner) as string;
  }

  function knownDigests(path: string): readonly (readonly [string, string])[] | undefined {
    const digests: (readonly [string, string])[] = [];
    const pending = [path];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const found = stat(next);
      if (found === undefined || !visible(next)) return undefined;
      const isDirectory = found.isDirectory();
      if (!isDirectory && found.nlink > 1n) return undefined;
      if (next !== path) {
        const digest = digestOf(next, found);
        if (digest === undefined) return undefined;
        digests.push([next, digest]);
      }
      if (!isDirectory) continue;
      const below = list(next);
      for (let i = below.length - 1; i >= 0; i -= 1) pending.push(joinPath(next, below[i] as string));
    }
    return digests;
  }

  return {
    lstat: async (path) => lookup(path),
    list: async (path) => list(path),
    resolve: async (path, last) => resolveInRootSync({ lstat: lookup }, path, last),
    walk,
    contentDigest,
    knownDigests,
    contentBelow: (path) => directories.digest(path),
    about: options.about ?? { name: 'the build context' },
    hiddenBy: async (path) => {
      const pattern = path === '' ? undefined : ignore?.excluded(path);
      if (ignore === undefined || pattern === undefined || stat(path) === undefined || visible(path))
        return undefined;
      return { file: ignore.file, line: pattern.line, pattern: pattern.text };
    },
  };
}

function stampOf(found: BigIntStats): FileStamp {
  const { mtimeNs, ctimeNs, ino, dev } = found;
  return { size: Number(found.size), mtimeNs, ctimeNs, ino, dev };
}

/** The same as numbers, as `lstatSync` tells them without `bigint`: those of times have fractions of milliseconds. */
function looseStamp({ size, mtimeNs, ctimeNs, ino, dev }: BigIntStats): readonly number[] {
  return [Number(size), milliseconds(mtimeNs), milliseconds(ctimeNs), Number(ino), Number(dev)];
}

function milliseconds(nanoseconds: bigint): number {
  const rest = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return Number((nanoseconds - rest) / 1_000_000_000n) * 1000 + Number(rest) / 1e6;
}

/** Of no bytes, as digestContent has it. */
const emptyDigest = createHash('sha256').digest('hex');

async function* noContent(): AsyncGenerator<Uint8Array> {}

function isAbsent(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG';
}

function unreadable(path: string, cause: unknown): BuildError {
  const { code } = cause as NodeJS.ErrnoException;
  const shown = path === '' ? '.' : path;
  return new BuildError(
    'CONTEXT_INVALID',
    `cannot read \`${shown}\` of the build context: ${inWords(cause)}`,
    {
      hint: exhaustion(cause)?.hint ?? 'make it readable, or list it in .dockerignore',
      details: { path: shown, code },
      cause,
    },
  );
}

function vanished(path: string): BuildError {
  const hint = path.includes('\uFFFD')
    ? 'its name is not UTF-8, which no layer can hold: rename it, or list it in .dockerignore'
    : 'nothing may change the build context during a build';
  return new BuildError('CONTEXT_INVALID', `\`${path}\` of the build context is listed but cannot be found`, {
    hint,
    details: { path },
  });
}

/** The entry with its attributes, which are read when somebody asks: finding a file and knowing its digest needs none. */
function withXattrs(entry: Entry, file: string): Entry {
  let known: { readonly xattrs: Entry['xattrs'] } | undefined;
  const get = (): Entry['xattrs'] => (known ??= { xattrs: xattrsOf(file) }).xattrs;
  return Object.defineProperty(entry, 'xattrs', { enumerable: true, get });
}

function xattrsOf(file: string): Readonly<Record<string, Uint8Array>> | undefined {
  if (process.platform !== 'linux') return undefined;
  let found: Record<string, Uint8Array> | undefined;
  try {
    for (const name of llistxattr(file)) {
      if (!isPortableXattr(name)) continue;
      const value = lgetxattr(file, name);
      if (value !== undefined) (found ??= {})[name] = value;
    }
  } catch {
    // Copied where it can be: L-COPY-10 says that a failure is not fatal.
  }
  return found;
}
