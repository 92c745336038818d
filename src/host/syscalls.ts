import { writeSync } from 'node:fs';
import { MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY } from './container-constants.ts';
import type { RawPath } from './native.ts';
import { AT_FDCWD, OPENAT2, call, codeOf, cPath, numberOf } from './native.ts';

export type { RawPath, SyscallError } from './native.ts';

// System calls for files that Node lacks.

// --- Extended attributes

const absent: ReadonlySet<string | undefined> = new Set(['ENODATA', 'ENOTSUP', 'EOPNOTSUPP']);

/** Value of an attribute of the file itself (links are not followed); undefined where it, or support for it, is absent. */
export function lgetxattr(path: RawPath, name: string): Buffer | undefined {
  return readXattr('lgetxattr', path, name);
}

/** The same for what `path` leads to. */
export function getxattr(path: RawPath, name: string): Buffer | undefined {
  return readXattr('getxattr', path, name);
}

function readXattr(as: 'getxattr' | 'lgetxattr', path: RawPath, name: string): Buffer | undefined {
  const parameters = ['const uint8 *', 'const uint8 *', 'uint8 *', 'size_t'];
  let value = Buffer.allocUnsafe(256);
  for (;;) {
    try {
      const size = call(as, parameters, [cPath(path), cPath(name), value, value.length], { path });
      return value.subarray(0, size);
    } catch (error) {
      if (absent.has(codeOf(error))) return undefined;
      if (codeOf(error) !== 'ERANGE' || value.length >= 65_536) throw error;
      value = Buffer.allocUnsafe(65_536);
    }
  }
}

/** Sets an attribute of the file itself. */
export function lsetxattr(path: RawPath, name: string, value: Uint8Array): void {
  writeXattr('lsetxattr', path, { name, value });
}

/** Sets an attribute of what `path` leads to. */
export function setxattr(path: RawPath, name: string, value: Uint8Array): void {
  writeXattr('setxattr', path, { name, value });
}

function writeXattr(
  as: 'setxattr' | 'lsetxattr',
  path: RawPath,
  { name, value }: { readonly name: string; readonly value: Uint8Array },
): void {
  const parameters = ['const uint8 *', 'const uint8 *', 'const uint8 *', 'size_t', 'int'];
  // An empty typed array is a null pointer: give it one byte, and the size 0.
  const bytes = value.length === 0 ? Buffer.alloc(1) : value;
  call(as, parameters, [cPath(path), cPath(name), bytes, value.length, 0], { path });
}

/** Names of the attributes of the file itself, in no promised order; empty where the filesystem has none. */
export function llistxattr(path: RawPath): string[] {
  const parameters = ['const uint8 *', 'uint8 *', 'size_t'];
  let names = Buffer.allocUnsafe(1024);
  for (;;) {
    try {
      const size = call('llistxattr', parameters, [cPath(path), names, names.length], { path });
      return size === 0 ? [] : names.toString('utf8', 0, size - 1).split('\0');
    } catch (error) {
      if (absent.has(codeOf(error))) return [];
      if (codeOf(error) !== 'ERANGE' || names.length >= 65_536) throw error;
      names = Buffer.allocUnsafe(65_536);
    }
  }
}

/** Changes the owner of what a descriptor names, be it open for nothing (O_PATH) or a symbolic link. */
export function chownOpen(fd: number, uid: number, gid: number): void {
  const AT_EMPTY_PATH = 0x1000;
  const parameters = ['int', 'const uint8 *', 'uint', 'uint', 'int'];
  call('fchownat', parameters, [fd, cPath(''), uid, gid, AT_EMPTY_PATH]);
}

/** Removes an attribute of the file itself; throws ENODATA where there is none. */
export function lremovexattr(path: RawPath, name: string): void {
  call('lremovexattr', ['const uint8 *', 'const uint8 *'], [cPath(path), cPath(name)], { path });
}

/** Removes an attribute of what `path` leads to; throws ENODATA where there is none. */
export function removexattr(path: RawPath, name: string): void {
  call('removexattr', ['const uint8 *', 'const uint8 *'], [cPath(path), cPath(name)], { path });
}

// --- Files

/** Makes a device node, FIFO, socket or file. `mode` has the S_IF* type; the umask applies. */
export function mknod(path: RawPath, mode: number, device: { major: number; minor: number }): void {
  const dev = deviceNumber(device);
  const parameters = ['long', 'int', 'const uint8 *', 'uint', 'uint64'];
  call('syscall', parameters, [numberOf('mknodat'), AT_FDCWD, cPath(path), mode, dev], { as: 'mknod', path });
}

/** Sets access and modification time of the file itself, in nanoseconds since the epoch (may be negative). */
export function lutimes(path: RawPath, atime: bigint, mtime: bigint): void {
  const times = new BigInt64Array(4);
  [atime, mtime].forEach((time, index) => {
    const nanoseconds = ((time % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
    times[2 * index] = (time - nanoseconds) / 1_000_000_000n;
    times[2 * index + 1] = nanoseconds;
  });
  const AT_SYMLINK_NOFOLLOW = 0x100;
  const parameters = ['int', 'const uint8 *', 'const int64 *', 'int'];
  call('utimensat', parameters, [AT_FDCWD, cPath(path), times, AT_SYMLINK_NOFOLLOW], { path });
}

export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;

/** flock(2). With LOCK_NB false says that another holds the lock; without, it blocks the whole process. */
export function flock(fd: number, operation: number): boolean {
  try {
    call('flock', ['int', 'int'], [fd, operation]);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EAGAIN' || codeOf(error) === 'EWOULDBLOCK') return false;
    throw error;
  }
}

export const RESOLVE_NO_XDEV = 1;
export const RESOLVE_NO_MAGICLINKS = 2;
export const RESOLVE_NO_SYMLINKS = 4;
export const RESOLVE_BENEATH = 8;
export const RESOLVE_IN_ROOT = 16;

/**
 * openat2(2): opens `path` below the directory `root` (an open descriptor). The default resolution is RESOLVE_IN_ROOT
 * without magic links: links and `..` cannot leave the root (S-P-1). O_CLOEXEC is always set. Returns a descriptor that
 * the caller closes. ENOSYS before Linux 5.6; EAGAIN when the tree changes under it.
 */
export function openat2(
  root: number,
  path: RawPath,
  how: { readonly flags: number; readonly mode?: number; readonly resolve?: number },
): number {
  const open = new BigUint64Array([
    BigInt(how.flags | 0o2000000),
    BigInt(how.mode ?? 0),
    BigInt(how.resolve ?? RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS),
  ]);
  const parameters = ['long', 'int', 'const uint8 *', 'const uint64 *', 'size_t'];
  return call('syscall', parameters, [OPENAT2, root, cPath(path), open, 24], { as: 'openat2', path });
}

/** A dev_t in the layout that the kernel takes from user space ("huge" encoding). */
export function deviceNumber({ major, minor }: { readonly major: number; readonly minor: number }): bigint {
  return (
    (BigInt(minor) & 0xffn) |
    ((BigInt(major) & 0xfffn) << 8n) |
    ((BigInt(minor) & ~0xffn) << 12n) |
    ((BigInt(major) & ~0xfffn) << 32n)
  );
}

/** Device numbers of an `rdev` of `lstat(path, { bigint: true })`. */
export function deviceNumbers(rdev: bigint): { readonly major: number; readonly minor: number } {
  return {
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
  };
}

/** eventfd(2): counts what the kernel writes to it; a read that finds nothing fails with EAGAIN. */
export function eventCounter(): number {
  const EFD_CLOEXEC_NONBLOCK = 0o2004000;
  return call('eventfd', ['uint', 'int'], [0, EFD_CLOEXEC_NONBLOCK]);
}

/** pipe2(2), both ends close-on-exec. Node's own stdio pipes are sockets, which a step cannot open as /dev/stdout. */
export function pipe(): { readonly read: number; readonly write: number } {
  const ends = new Int32Array(2);
  call('pipe2', ['_Out_ int32 *', 'int'], [ends, 0o2000000]);
  const [read = -1, write = -1] = ends;
  return { read, write };
}

/**
 * A file that is in memory alone, has these bytes and cannot be changed (memfd_create(2)). It is close-on-exec, and is executed by way of
 * /proc/<pid>/fd.
 */
export function memoryFile(name: string, bytes: Uint8Array): number {
  const MFD_CLOEXEC = 1;
  const MFD_ALLOW_SEALING = 2;
  const MFD_EXEC = 16;
  const create = (flags: number): number =>
    call('memfd_create', ['const uint8 *', 'uint'], [cPath(name), flags]);
  let fd: number;
  try {
    fd = create(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  } catch (error) {
    // Before Linux 6.3 there was no such flag: all were executable.
    if (codeOf(error) !== 'EINVAL') throw error;
    fd = create(MFD_CLOEXEC | MFD_ALLOW_SEALING);
  }
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
  const [F_ADD_SEALS, F_SEAL_EXEC, SEAL_ALL] = [1033, 0x20, 0xf] as const;
  const seal = (seals: number): number => call('fcntl', ['int', 'int', 'int'], [fd, F_ADD_SEALS, seals]);
  try {
    // Its mode neither, for a program that finds it at /proc/self/exe.
    seal(SEAL_ALL | F_SEAL_EXEC);
  } catch (error) {
    if (codeOf(error) !== 'EINVAL') throw error;
    seal(SEAL_ALL);
  }
  return fd;
}

/**
 * MS_RDONLY, MS_NOSUID, MS_NODEV and MS_NOEXEC as far as the mount of a path has them. In a user namespace a mount that came from outside keeps
 * them: mounting it again without is refused.
 */
export function mountFlags(path: RawPath): number {
  // struct statvfs of glibc and musl on 64 bit: f_flag is the tenth of its long words.
  const words = new BigUint64Array(16);
  call('statvfs', ['const uint8 *', 'uint64 *'], [cPath(path), words], { path });
  return Number((words[9] ?? 0n) & BigInt(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC));
}
