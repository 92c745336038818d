import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

// The only importer of koffi: Linux system calls that Node lacks. The library is loaded on the first call, so importing
// this module is free. Everything is synchronous, costs about a microsecond, and throws Node-like errors (code, errno,
// syscall, path). Paths with a NUL byte are refused: C would cut them short.

type Native = (...args: readonly unknown[]) => number | bigint;
interface Koffi {
  load(path: null): { func(name: string, result: string, parameters: readonly string[]): Native };
  errno(): number;
}

/** File names: text is passed as UTF-8; bytes as they are. */
export type RawPath = string | Uint8Array;

let koffi: Koffi | undefined;
let library: ReturnType<Koffi['load']> | undefined;
const natives = new Map<string, Native>();

/** A C function of the running process's own libc (glibc or musl). */
function native(name: string, result: string, parameters: readonly string[]): Native {
  const key = `${name} ${parameters.join()}`;
  let found = natives.get(key);
  if (found === undefined) {
    koffi ??= createRequire(import.meta.url)('koffi') as Koffi;
    library ??= koffi.load(null);
    found = library.func(name, result, parameters);
    natives.set(key, found);
  }
  return found;
}

/** An error of a system call, as Node makes them. */
export interface SyscallError extends Error {
  readonly code: string;
  /** Negative, as in Node. */
  readonly errno: number;
  readonly syscall: string;
  readonly path?: string;
}

function failure(syscall: string, path?: RawPath): SyscallError {
  const number = koffi?.errno() ?? 0;
  const [code, text] = getSystemErrorMap().get(-number) ?? [
    Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? `E${number}`,
    'system call failed',
  ];
  const shown = typeof path === 'string' ? path : path && Buffer.from(path).toString();
  const error = new Error(`${code}: ${text}, ${syscall}${shown === undefined ? '' : ` '${shown}'`}`);
  return Object.assign(error, {
    code,
    errno: -number,
    syscall,
    ...(shown === undefined ? {} : { path: shown }),
  });
}

/** Calls and throws on -1. */
function call(
  name: string,
  parameters: readonly string[],
  args: readonly unknown[],
  about?: { readonly as?: string; readonly path?: RawPath },
): number {
  const result = Number(native(name, 'long', parameters)(...args));
  // `int` functions are declared as long: only the low half of the register is theirs.
  if ((result | 0) === -1 && (result === -1 || result === 0xffffffff))
    throw failure(about?.as ?? name, about?.path);
  return result;
}

/** A file name as C takes it. */
function cPath(path: RawPath): Uint8Array {
  const bytes = typeof path === 'string' ? Buffer.from(path) : path;
  if (bytes.includes(0)) throw new TypeError('a path must not have a NUL byte');
  return Buffer.concat([bytes, Buffer.of(0)]);
}

function codeOf(error: unknown): string | undefined {
  return (error as Partial<SyscallError>).code;
}

// Calls for which libc has no wrapper everywhere. Numbers from 424 on are the same on all architectures.
const numbers = {
  x64: { mknodat: 259, pivot_root: 155, capset: 126, seccomp: 317 },
  arm64: { mknodat: 33, pivot_root: 41, capset: 91, seccomp: 277 },
} as const;
const CLOSE_RANGE = 436;
const OPENAT2 = 437;
const AT_FDCWD = -100;

function numberOf(name: keyof (typeof numbers)['x64']): number {
  if (process.arch !== 'x64' && process.arch !== 'arm64')
    throw new Error(`no system call numbers for ${process.arch}`);
  return numbers[process.arch][name];
}

// --- Extended attributes

const absent: ReadonlySet<string | undefined> = new Set(['ENODATA', 'ENOTSUP', 'EOPNOTSUPP']);

/** Value of an attribute of the file itself (links are not followed); undefined where it, or support for it, is absent. */
export function lgetxattr(path: RawPath, name: string): Buffer | undefined {
  const parameters = ['const uint8 *', 'const uint8 *', 'uint8 *', 'size_t'];
  let value = Buffer.allocUnsafe(256);
  for (;;) {
    try {
      const size = call('lgetxattr', parameters, [cPath(path), cPath(name), value, value.length], { path });
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
  const parameters = ['const uint8 *', 'const uint8 *', 'const uint8 *', 'size_t', 'int'];
  // An empty typed array is a null pointer: give it one byte, and the size 0.
  const bytes = value.length === 0 ? Buffer.alloc(1) : value;
  call('lsetxattr', parameters, [cPath(path), cPath(name), bytes, value.length, 0], { path });
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

/** Removes an attribute of the file itself; throws ENODATA where there is none. */
export function lremovexattr(path: RawPath, name: string): void {
  call('lremovexattr', ['const uint8 *', 'const uint8 *'], [cPath(path), cPath(name)], { path });
}

// --- Files

/** Makes a device node, FIFO, socket or file. `mode` has the S_IF* type; the umask applies. */
export function mknod(path: RawPath, mode: number, device: { major: number; minor: number }): void {
  const { major, minor } = device;
  // Layout of dev_t that the kernel takes from user space ("huge" encoding).
  const dev =
    (BigInt(minor) & 0xffn) |
    ((BigInt(major) & 0xfffn) << 8n) |
    ((BigInt(minor) & ~0xffn) << 12n) |
    ((BigInt(major) & ~0xfffn) << 32n);
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

/** Device numbers of an `rdev` of `lstat(path, { bigint: true })`. */
export function deviceNumbers(rdev: bigint): { readonly major: number; readonly minor: number } {
  return {
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
  };
}

// --- Mounts and namespaces

export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_REMOUNT = 32;
export const MS_NOATIME = 1024;
export const MS_BIND = 4096;
export const MS_REC = 16_384;
export const MS_PRIVATE: number = 1 << 18;
export const MS_SLAVE: number = 1 << 19;
export const MS_RELATIME: number = 1 << 21;
export const MS_STRICTATIME: number = 1 << 24;
export const MNT_DETACH = 2;

/** mount(2). `data` may have up to 4095 bytes. */
export function mount(request: {
  readonly source: RawPath;
  readonly target: RawPath;
  readonly type?: string;
  readonly flags?: number;
  readonly data?: string;
}): void {
  const { source, target, type, flags, data } = request;
  const parameters = ['const uint8 *', 'const uint8 *', 'const uint8 *', 'ulong', 'const uint8 *'];
  const text = (value: string | undefined): Uint8Array | null => (value === undefined ? null : cPath(value));
  call('mount', parameters, [cPath(source), cPath(target), text(type), flags ?? 0, text(data)], {
    path: target,
  });
}

/** umount2(2). */
export function umount2(target: RawPath, flags = 0): void {
  call('umount2', ['const uint8 *', 'int'], [cPath(target), flags], { path: target });
}

/** unshare(2) with CLONE_NEW* flags, for the calling thread. The kernel refuses CLONE_NEWUSER in a process with threads, which Node always is. */
export function unshare(flags: number): void {
  call('unshare', ['int'], [flags]);
}

/** pivot_root(2). */
export function pivotRoot(newRoot: RawPath, putOld: RawPath): void {
  const parameters = ['long', 'const uint8 *', 'const uint8 *'];
  call('syscall', parameters, [numberOf('pivot_root'), cPath(newRoot), cPath(putOld)], {
    as: 'pivot_root',
    path: newRoot,
  });
}

/** Sets the host name of the UTS namespace. */
export function setHostname(name: string): void {
  const bytes = Buffer.from(name);
  call('sethostname', ['const uint8 *', 'size_t'], [bytes, bytes.length]);
}

/** Brings the network device `lo` up in the current network namespace. */
export function loopbackUp(): void {
  const AF_INET = 2;
  const SOCK_DGRAM = 2;
  const SOCK_CLOEXEC = 0o2000000;
  const socket = call('socket', ['int', 'int', 'int'], [AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0]);
  try {
    const request = Buffer.alloc(40);
    request.write('lo');
    request.writeInt16LE(0x1 | 0x40, 16); // IFF_UP | IFF_RUNNING
    call('ioctl', ['int', 'ulong', 'const uint8 *'], [socket, 0x8914, request]); // SIOCSIFFLAGS
  } finally {
    call('close', ['int'], [socket]);
  }
}

// --- Rights of the process. All but setrlimit act on the calling thread alone; execve keeps that thread.

export const PR_SET_PDEATHSIG = 1;
export const PR_SET_KEEPCAPS = 8;
export const PR_CAPBSET_READ = 23;
export const PR_CAPBSET_DROP = 24;
export const PR_CAP_AMBIENT = 47;
export const PR_CAP_AMBIENT_RAISE = 2;
export const PR_CAP_AMBIENT_CLEAR_ALL = 4;

/** prctl(2) with number arguments. */
export function prctl(option: number, ...args: readonly number[]): number {
  const [second = 0, third = 0, fourth = 0, fifth = 0] = args;
  const parameters = ['int', 'ulong', 'ulong', 'ulong', 'ulong'];
  return call('prctl', parameters, [option, second, third, fourth, fifth]);
}

/** Sets of capabilities; bit n is capability n. */
export interface CapabilitySets {
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly inheritable: bigint;
}

/** capset(2). */
export function capset(sets: CapabilitySets): void {
  const header = new Uint32Array([0x20080522, 0]); // _LINUX_CAPABILITY_VERSION_3, this thread
  const data = new Uint32Array(6);
  [sets.effective, sets.permitted, sets.inheritable].forEach((set, index) => {
    data[index] = Number(set & 0xffffffffn);
    data[index + 3] = Number(set >> 32n);
  });
  const parameters = ['long', 'const uint32 *', 'const uint32 *'];
  call('syscall', parameters, [numberOf('capset'), header, data], { as: 'capset' });
}

/** Installs a seccomp filter: an array of struct sock_filter as bytes (8 each). Needs CAP_SYS_ADMIN or no_new_privs. */
export function installSeccompFilter(program: Uint8Array): void {
  if (program.length === 0 || program.length % 8 !== 0) throw new RangeError('no seccomp program');
  // struct sock_fprog { unsigned short len; struct sock_filter *filter; }: the pointer is made by koffi.
  const address = addressOf(program);
  const description = new BigUint64Array([BigInt(program.length / 8), address]);
  const SECCOMP_SET_MODE_FILTER = 1;
  const parameters = ['long', 'uint', 'uint', 'const uint64 *'];
  call('syscall', parameters, [numberOf('seccomp'), SECCOMP_SET_MODE_FILTER, 0, description], {
    as: 'seccomp',
  });
}

/** Where the bytes are in memory, for structures that hold pointers; valid while `bytes` is alive. */
function addressOf(bytes: Uint8Array): bigint {
  // memchr returns the pointer that it was given when the first byte is the one searched.
  const found = native('memchr', 'uintptr_t', ['const uint8 *', 'int', 'size_t'])(bytes, bytes[0] ?? 0, 1);
  return BigInt(found);
}

/** setrlimit(2) by number (RLIMIT_*); values are bytes or counts, -1 is unlimited. */
export function setrlimit(resource: number, soft: bigint, hard: bigint): void {
  const limit = new BigUint64Array([BigInt.asUintN(64, soft), BigInt.asUintN(64, hard)]);
  call('setrlimit', ['int', 'const uint64 *'], [resource, limit]);
}

/** Marks all descriptors from `first` on close-on-exec (Linux 5.11), so that none is inherited by execve. */
export function closeOnExecFrom(first: number): void {
  const CLOSE_RANGE_CLOEXEC = 4;
  const parameters = ['long', 'uint', 'uint', 'uint'];
  call('syscall', parameters, [CLOSE_RANGE, first, 0xffffffff, CLOSE_RANGE_CLOEXEC], { as: 'close_range' });
}

/** pipe2(2), both ends close-on-exec. Node's own stdio pipes are sockets, which a step cannot open as /dev/stdout. */
export function pipe(): { readonly read: number; readonly write: number } {
  const ends = new Int32Array(2);
  call('pipe2', ['_Out_ int32 *', 'int'], [ends, 0o2000000]);
  const [read = -1, write = -1] = ends;
  return { read, write };
}

/** Sets SIGPIPE and SIGXFSZ, which Node ignores, back to their default: execve keeps what is ignored. */
export function defaultSignals(): void {
  const SIGXFSZ = 25;
  for (const signal of [13, SIGXFSZ]) native('signal', 'uintptr_t', ['int', 'uintptr_t'])(signal, 0);
}

/** setsid(2): leaves the session, and so the controlling terminal. Throws EPERM for the leader of a process group. */
export function setsid(): void {
  call('setsid', [], []);
}

/** Lets a descriptor survive execve: Node marks all that it finds at its start close-on-exec, the standard ones too. */
export function keepOnExec(fd: number): void {
  const F_SETFD = 2;
  call('fcntl', ['int', 'int', 'long'], [fd, F_SETFD, 0]);
}

/**
 * execve(2): returns only by throwing (ENOENT, EACCES, ENOEXEC), where Node's own ends the process. Descriptors that are
 * marked close-on-exec go (`keepOnExec`). No byte of the strings may be NUL.
 */
export function execve(path: string, args: readonly string[], env: readonly string[]): void {
  for (const text of [...args, ...env]) cPath(text);
  const parameters = ['const uint8 *', 'const char **', 'const char **'];
  call('execve', parameters, [cPath(path), [...args, null], [...env, null]], { path });
}
