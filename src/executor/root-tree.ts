import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  readSync,
  writeSync,
} from 'node:fs';
import { posix } from 'node:path';
import {
  openat2,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from '../host/syscalls.ts';
import { giveTo } from '../image/owners.ts';
import { BuildError } from '../util/build-error.ts';

// Work inside a root filesystem that somebody else made (S-P-1): every name is resolved by the kernel below an open
// directory, links and `..` cannot leave it. Nobody else writes to the tree meanwhile (S-P-2).

const O_PATH = 0o10000000;
const MAX_LINKS = 255;

/** A place in a tree, links resolved. */
export interface Place {
  /** Absolute inside the tree, without links; parts from `missing` on do not exist. */
  readonly path: string;
  readonly type: 'directory' | 'file' | 'missing';
  /** The parts at the end of `path` that do not exist, in order. */
  readonly missing: readonly string[];
}

/** `entry` is anything but a symbolic link. */
export type Found = 'missing' | 'entry' | { readonly link: string };

/** Follows links from `/` on: absolute ones and `..` stay in the tree that `look` looks into. Throws PATH_OUTSIDE for a loop of links. */
export function resolvePath(
  path: string,
  look: (parent: string, name: string) => Found,
): Pick<Place, 'path' | 'missing'> {
  let rest = path.split('/').filter((part) => part !== '' && part !== '.');
  const done: string[] = [];
  let links = 0;
  for (;;) {
    const name = rest.shift();
    const parent = `/${done.join('/')}`;
    if (name === undefined) return { path: parent, missing: [] };
    if (name === '..') {
      done.pop();
      continue;
    }
    const found = look(parent, name);
    if (found === 'missing') {
      const missing = [name, ...rest];
      if (missing.includes('..'))
        throw new BuildError('PATH_OUTSIDE', `${path} leads through a directory that does not exist`);
      return { path: posix.join(parent, ...missing), missing };
    }
    if (found === 'entry') {
      done.push(name);
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) throw new BuildError('PATH_OUTSIDE', `${path} has too many symbolic links`);
    if (found.link.startsWith('/')) done.length = 0;
    rest = [...found.link.split('/').filter((part) => part !== '' && part !== '.'), ...rest];
  }
}

/** An open directory that is the root of a tree. */
export class RootTree {
  readonly #fd: number;

  /** `path` is trusted: a directory of the store, or the way to it through /proc/<pid>/root. */
  constructor(path: string) {
    this.#fd = openSync(path, constants.O_DIRECTORY | constants.O_RDONLY);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  /** Runs `use` with an O_PATH descriptor of the place, which must have no link on its way. */
  at<R>(path: string, use: (fd: number, stable: string) => R): R {
    const fd = openat2(this.#fd, path === '/' ? '.' : path.slice(1), {
      flags: O_PATH | constants.O_NOFOLLOW,
      resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    });
    try {
      return use(fd, `/proc/self/fd/${fd}`);
    } finally {
      closeSync(fd);
    }
  }

  /** Where `path` leads, as a process with this root would see it. Throws PATH_OUTSIDE for a loop of links. */
  resolve(path: string): Place {
    const found = resolvePath(path, (parent, name) => this.look(parent, name));
    return { ...found, type: found.missing.length > 0 ? 'missing' : this.#type(found.path) };
  }

  /** What `name` is in a directory that has no link on its way. */
  look(parent: string, name: string): Found {
    return this.at(parent, (_fd, stable) => {
      const stat = lstatSync(`${stable}/${name}`, { throwIfNoEntry: false });
      if (stat === undefined) return 'missing';
      return stat.isSymbolicLink() ? { link: readlinkSync(`${stable}/${name}`) } : 'entry';
    });
  }

  #type(path: string): 'directory' | 'file' {
    return this.at(path, (fd) => (fstatSync(fd).isDirectory() ? 'directory' : 'file'));
  }

  /** Permission bits of what is at a place without links. */
  mode(path: string): number {
    return this.at(path, (fd) => fstatSync(fd).mode & 0o7777);
  }

  /** Is there a directory, with no link on the way? undefined: nothing there. */
  plainDirectory(path: string): boolean | undefined {
    try {
      return this.at(path, (fd) => fstatSync(fd).isDirectory());
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return undefined;
      if (code === 'ELOOP' || code === 'ENOTDIR') return false;
      throw error;
    }
  }

  /** Makes the directory `name` in the existing directory `parent`. Throws EEXIST. */
  makeDirectory(parent: string, name: string, owner: { mode: number; uid: number; gid: number }): void {
    this.at(parent, (_fd, stable) => mkdirSync(`${stable}/${name}`));
    const path = posix.join(parent, name);
    const fd = this.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      this.at(parent, (_fd, stable) => giveTo(`${stable}/${name}`, owner));
      fchmodSync(fd, owner.mode);
    } finally {
      closeSync(fd);
    }
  }

  /** Makes a new file in the existing directory `parent`. Throws EEXIST. */
  makeFile(
    parent: string,
    name: string,
    file: { mode: number; uid: number; gid: number; content: Uint8Array },
  ): void {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const fd = this.at(parent, (_fd, stable) => openSync(`${stable}/${name}`, flags, 0o600));
    try {
      for (let done = 0; done < file.content.length;)
        done += writeSync(fd, file.content, done, file.content.length - done);
      this.at(parent, (_fd, stable) => giveTo(`${stable}/${name}`, file));
      fchmodSync(fd, file.mode);
    } finally {
      closeSync(fd);
    }
  }

  /** Opens what is at a place without links. */
  open(path: string, flags: number): number {
    return openat2(this.#fd, path === '/' ? '.' : path.slice(1), {
      flags,
      resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    });
  }

  /** Content of a regular file, links inside the tree followed (S-P-5); undefined where there is none. Throws a RangeError above `limit` bytes. */
  readFile(path: string, limit: number): Buffer | undefined {
    let fd: number;
    try {
      // Non-blocking: a FIFO must not hold the build up.
      const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
      // A device is never opened: looked at first, and nobody changes the tree in between.
      const seen = openat2(this.#fd, path.slice(1), {
        flags: O_PATH,
        resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
      });
      try {
        if (!fstatSync(seen).isFile()) return undefined;
        fd = openSync(`/proc/self/fd/${seen}`, flags);
      } finally {
        closeSync(seen);
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return undefined;
      throw error;
    }
    try {
      const { size } = fstatSync(fd);
      if (size > limit) throw new RangeError(`${path} has more than ${limit} bytes`);
      const content = Buffer.alloc(size);
      let done = 0;
      while (done < size) {
        const count = readSync(fd, content, done, size - done, done);
        if (count === 0) break;
        done += count;
      }
      return content.subarray(0, done);
    } finally {
      closeSync(fd);
    }
  }
}
