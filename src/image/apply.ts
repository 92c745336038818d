import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { lsetxattr, lutimes, mknod } from '../host/syscalls.ts';
import { BuildError } from '../util/build-error.ts';
import { writeFully } from '../util/write-fully.ts';
import type { Entry, EntryStream } from './entry.ts';
import { baseName, joinPath, parentPath } from './entry-path.ts';
import { giveTo } from './owners.ts';
import { strayHardlink, strayHardlinkHint } from './stray-hardlink.ts';
import type { OverlayMark } from './xattr.ts';
import { isPortableXattr, overlayXattr } from './xattr.ts';

export interface ApplyOptions {
  /** `overlay`: one layer as overlayfs wants it, whiteouts as 0/0 devices. `plain`: whiteouts delete what earlier layers left. */
  readonly form: 'overlay' | 'plain';
  /** `ignore` leaves everything to the caller's own user and needs no privileges: setuid bits, devices and xattrs are left out. */
  readonly owners?: 'keep' | 'ignore';
  /** Which opaque marker the overlay mount will look for: `user` in a user namespace. */
  readonly overlayXattrs?: 'trusted' | 'user';
  readonly signal?: AbortSignal | undefined;
}

/**
 * Unpacks the entries of one layer into a directory (OCI image-spec, layer.md "Applying Changesets"). No entry reaches
 * outside: every parent is looked at on disk, component by component; links made by this layer are followed inside the
 * directory, links of earlier layers are replaced, as Docker's overlay driver does. Missing parents get mode 0755. Nobody else
 * may write to the directory meanwhile (S-P-2). Directories' modes and times are set last. On an error the directory
 * is left half done. Throws IMAGE_INVALID, DISK_FULL, UNSUPPORTED_HERE.
 */
export async function applyEntries(
  entries: EntryStream,
  directory: string,
  options: ApplyOptions,
): Promise<void> {
  const applier = new Applier(directory, options);
  let count = 0;
  for await (const entry of entries) {
    options.signal?.throwIfAborted();
    try {
      await applier.apply(entry);
    } catch (error) {
      throw explain(error, entry, directory);
    }
    // The work is synchronous: let signals and other work in now and then.
    count += 1;
    if (count % 256 === 0) await setImmediate();
  }
  applier.finish();
}

const maxLinks = 255;
const exclusive = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

class Applier {
  readonly #root: string;
  readonly #options: ApplyOptions;
  readonly #keepOwners: boolean;
  readonly #mapped: boolean;
  /** Where directories really are, by paths that were seen. Invariant: emptied whenever anything is removed, so none outlives a change of type. */
  readonly #known = new Map<string, string>();
  /** What this layer has made, by real path. */
  readonly #written = new Set<string>();
  /** Modes and times to set at the end, by real path. */
  readonly #directories = new Map<string, { readonly mode: number; readonly mtime: bigint }>();

  constructor(root: string, options: ApplyOptions) {
    this.#root = root;
    this.#options = options;
    this.#keepOwners = options.owners !== 'ignore';
    this.#mapped = options.overlayXattrs === 'user';
  }

  async apply(entry: Entry): Promise<void> {
    if (entry.type === 'opaque') return this.#opaque(entry);
    if (entry.path === '') return this.#setDirectory(entry, '');
    const path = joinPath(this.#makeDirectory(parentPath(entry.path)), baseName(entry.path));
    const found = this.#lstat(path);
    if (entry.type === 'whiteout') return this.#whiteout(path, found);
    if (entry.type === 'directory') return this.#directory(entry, path, found);
    if (entry.type === 'hardlink') return this.#hardlink(entry, path, found);
    if (found !== undefined) this.#remove(path, found);
    await this.#create(entry, path);
    this.#written.add(path);
  }

  finish(): void {
    // Children first: setting them changes their parents' times.
    for (const [path, { mode, mtime }] of [...this.#directories].toReversed()) {
      chmodSync(this.#full(path), mode);
      this.#setTime(path, mtime);
    }
  }

  #full(path: string): string {
    return path === '' ? this.#root : `${this.#root}/${path}`;
  }

  #lstat(path: string): Stats | undefined {
    return lstatSync(this.#full(path), { throwIfNoEntry: false });
  }

  /** The real path of a directory; makes what is missing, unless told to give up there. */
  #makeDirectory(path: string): string;
  #makeDirectory(path: string, missing: 'give up'): string | undefined;
  #makeDirectory(path: string, missing?: 'give up'): string | undefined {
    const waiting: string[] = [];
    let above = path;
    // Most of the way is known: to go all of it for each entry would take quadratic time.
    for (; above !== '' && !this.#known.has(above); above = parentPath(above)) waiting.push(baseName(above));
    let real = this.#known.get(above) ?? '';
    let links = 0;
    while (waiting.length > 0) {
      const part = waiting.pop();
      if (part === undefined || part === '' || part === '.') continue;
      if (part === '..') {
        real = parentPath(real);
        continue;
      }
      const next = joinPath(real, part);
      const known = this.#known.get(next);
      if (known !== undefined) {
        real = known;
        continue;
      }
      const found = this.#lstat(next);
      if (found?.isSymbolicLink() === true && this.#written.has(next)) {
        links += 1;
        if (links > maxLinks) throw invalid(path, `goes through more than ${maxLinks} symbolic links`);
        const target = readlinkSync(this.#full(next));
        if (target.startsWith('/')) real = '';
        waiting.push(...target.split('/').toReversed());
        continue;
      }
      if (found?.isDirectory() !== true) {
        if (missing === 'give up') return undefined;
        if (found !== undefined && this.#written.has(next) && !isWhiteout(found)) {
          throw invalid(path, 'has a parent that is no directory');
        }
        this.#directory({ mode: 0o755, uid: 0, gid: 0, mtime: 0n }, next, found);
      } else if (this.#options.form === 'plain') this.#keepTime(next);
      this.#known.set(next, next);
      real = next;
    }
    this.#known.set(path, real);
    return real;
  }

  /** A directory of an earlier layer that this one does not name stays as it is. */
  #keepTime(path: string): void {
    if (this.#directories.has(path)) return;
    const { mode, mtimeNs } = lstatSync(this.#full(path), { bigint: true });
    this.#directories.set(path, { mode: Number(mode) & 0o7777, mtime: mtimeNs });
  }

  #directory(entry: Attributes, path: string, found: Stats | undefined): void {
    if (found?.isDirectory() !== true) {
      if (found !== undefined) this.#remove(path, found);
      mkdirSync(this.#full(path), 0o700);
      // After a whiteout or a file of this layer: a new directory, that does not show what lower layers have there.
      if (found !== undefined) this.#markOpaque(path);
    }
    this.#setDirectory(entry, path);
    this.#written.add(path);
  }

  #setDirectory(entry: Attributes, path: string): void {
    if (this.#keepOwners) giveTo(this.#full(path), entry);
    this.#setXattrs(entry, path);
    this.#directories.delete(path);
    this.#directories.set(path, { mode: this.#mode(entry), mtime: entry.mtime });
  }

  async #create(entry: Entry, path: string): Promise<void> {
    const full = this.#full(path);
    switch (entry.type) {
      case 'file':
        await this.#file(entry, full);
        break;
      case 'symlink':
        symlinkSync(entry.linkTarget ?? '', full);
        if (this.#keepOwners) giveTo(full, entry);
        break;
      case 'char':
      case 'block':
      case 'fifo':
        // A user namespace has no devices of its own. Steps see those of the sandbox, and the layer's bytes stay what they are.
        // A whiteout in its place: what lower layers have there is gone all the same.
        if ((!this.#keepOwners || this.#mapped) && entry.type !== 'fifo')
          return this.#whiteout(path, undefined);
        mknod(full, nodeType(entry.type) | 0o600, { major: entry.devMajor ?? 0, minor: entry.devMinor ?? 0 });
        if (this.#keepOwners) giveTo(full, entry);
        chmodSync(full, this.#mode(entry));
        break;
      case 'directory':
      case 'hardlink':
      case 'whiteout':
      case 'opaque':
        throw new Error(`${entry.type} is not made here`);
      default:
        throw new Error(`no such entry type: ${String(entry.type)}`);
    }
    this.#setXattrs(entry, path);
    this.#setTime(path, entry.mtime);
  }

  async #file(entry: Entry, full: string): Promise<void> {
    const fd = openSync(full, exclusive, 0o600);
    try {
      if (entry.size > 0 && entry.content !== undefined) {
        for await (const chunk of entry.content()) {
          writeFully(fd, chunk);
        }
      }
      // In this order: chown clears setuid and capabilities.
      if (this.#keepOwners) giveTo(full, entry);
      fchmodSync(fd, this.#mode(entry));
    } finally {
      closeSync(fd);
    }
  }

  #hardlink(entry: Entry, path: string, found: Stats | undefined): void {
    const target = entry.linkTarget ?? '';
    const parent = this.#makeDirectory(parentPath(target), 'give up');
    const real = parent === undefined ? undefined : joinPath(parent, baseName(target));
    const stat = real === undefined ? undefined : this.#lstat(real);
    // One to a file of a lower layer cannot be made in a layer's own directory: containerd refuses it on overlayfs, and so do we everywhere.
    const isOwn = real !== undefined && this.#written.has(real);
    // A device that is not made here.
    if (isOwn && stat === undefined) return;
    if (!isOwn || stat?.isDirectory() !== false)
      throw new BuildError('IMAGE_INVALID', `the layer cannot be unpacked: ${strayHardlink(entry)}`, {
        hint: strayHardlinkHint,
      });
    if (real === path) return;
    if (found !== undefined) this.#remove(path, found);
    // Where removing `path` took the target along, this fails: the link named something below itself.
    linkSync(this.#full(real), this.#full(path));
    this.#written.add(path);
  }

  #whiteout(path: string, found: Stats | undefined): void {
    if (this.#options.form === 'plain') return this.#removeLower(path);
    // Whiteouts are about lower layers only: what this layer has made stays, and hides them.
    if (found?.isDirectory() === true) return this.#markOpaque(path);
    if (found !== undefined) return;
    mknod(this.#full(path), nodeType('char'), { major: 0, minor: 0 });
    this.#mark(parentPath(path), 'origin', '');
  }

  #opaque(entry: Entry): void {
    const path = this.#makeDirectory(entry.path);
    if (this.#options.form === 'overlay') {
      if (path === '') throw invalid('', 'cannot be opaque');
      return this.#markOpaque(path);
    }
    for (const name of readdirSync(this.#full(path))) this.#removeLower(joinPath(path, name));
  }

  #markOpaque(path: string): void {
    if (this.#options.form === 'overlay') this.#mark(path, 'opaque', 'y');
  }

  #mark(path: string, name: OverlayMark, value: string): void {
    const xattr = overlayXattr(this.#options.overlayXattrs ?? 'trusted', name);
    lsetxattr(this.#full(path), xattr, Buffer.from(value));
  }

  #remove(path: string, found: Stats): void {
    // What is below goes one by one: looking through all that was noted would take quadratic time.
    if (found.isDirectory()) {
      for (const name of readdirSync(this.#full(path))) {
        const below = joinPath(path, name);
        const stat = this.#lstat(below);
        if (stat !== undefined) this.#remove(below, stat);
      }
      rmdirSync(this.#full(path));
    } else unlinkSync(this.#full(path));
    this.#forget(path);
  }

  /** Removes what earlier layers left at and below a path. */
  #removeLower(path: string): void {
    const found = this.#lstat(path);
    if (found === undefined) return;
    if (found.isDirectory()) {
      for (const name of readdirSync(this.#full(path))) this.#removeLower(joinPath(path, name));
      if (this.#written.has(path) || readdirSync(this.#full(path)).length > 0) return;
      rmdirSync(this.#full(path));
    } else {
      if (this.#written.has(path)) return;
      unlinkSync(this.#full(path));
    }
    this.#forget(path);
  }

  /** Nothing that was noted of a removed path may be used for what takes its place: it may be a link by then. */
  #forget(path: string): void {
    this.#known.clear();
    this.#written.delete(path);
    this.#directories.delete(path);
  }

  #mode(entry: Attributes): number {
    // Without its owner a setuid file would run as whoever unpacked it.
    return entry.mode & (this.#keepOwners ? 0o7777 : 0o1777);
  }

  #setXattrs(entry: Attributes, path: string): void {
    if (entry.xattrs === undefined || !this.#keepOwners) return;
    for (const [name, value] of Object.entries(entry.xattrs)) {
      if (!isPortableXattr(name)) continue;
      try {
        lsetxattr(this.#full(path), name, value);
      } catch (error) {
        // Not every filesystem has user attributes, and only files and directories can.
        const { code = '' } = error as NodeJS.ErrnoException;
        if (name.startsWith('user.') && ['ENOTSUP', 'EOPNOTSUPP', 'EPERM'].includes(code)) continue;
        throw error;
      }
    }
  }

  #setTime(path: string, mtime: bigint): void {
    if (process.platform === 'linux') lutimes(this.#full(path), mtime, mtime);
    else lutimesSync(this.#full(path), Number(mtime) / 1e9, Number(mtime) / 1e9);
  }
}

type Attributes = Pick<Entry, 'mode' | 'uid' | 'gid' | 'mtime' | 'xattrs'>;

function nodeType(type: 'char' | 'block' | 'fifo'): number {
  if (type === 'char') return constants.S_IFCHR;
  return type === 'block' ? constants.S_IFBLK : constants.S_IFIFO;
}

function isWhiteout(stat: Stats): boolean {
  return stat.isCharacterDevice() && stat.rdev === 0;
}

function invalid(path: string, why: string): BuildError {
  return new BuildError('IMAGE_INVALID', `the layer cannot be unpacked: /${path} ${why}`);
}

function explain(error: unknown, entry: Entry, directory: string): unknown {
  const { code = '' } = error as NodeJS.ErrnoException;
  switch (error instanceof BuildError ? '' : code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new BuildError('DISK_FULL', `no space left while unpacking the image into ${directory}`, {
        cause: error,
        hint: 'free some space, with `tsbuild prune` perhaps',
        details: { directory },
      });
    case 'EPERM':
    case 'EACCES':
      return new BuildError('UNSUPPORTED_HERE', `this user may not make /${entry.path} of the image`, {
        cause: error,
        hint: 'unpacking owners and devices needs root or a user namespace; `tsbuild doctor` tells what this host has',
      });
    case 'ENAMETOOLONG':
    case 'ELOOP':
    case 'ENOTDIR':
    case 'EINVAL':
    case 'ENOENT':
    case 'EMLINK':
      return new BuildError('IMAGE_INVALID', `the layer cannot be unpacked: /${entry.path}: ${code}`, {
        cause: error,
      });
    default:
      return error;
  }
}
