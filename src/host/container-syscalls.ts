import { constants } from 'node:fs';
import type { RawPath } from './native.ts';
import { CLOSE_RANGE, call, cPath, native, numberOf } from './native.ts';

// System calls that make a container.

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

/** _exit(2): at once, without the runtime's own end. */
export function exitNow(status: number): never {
  native('_exit', 'void', ['int'])(status);
  throw new Error('_exit returned');
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
  setSeccompFilter(program, 0);
}

/** The same for a filter that notifies: returns the descriptor at which its notifications are (close-on-exec). */
export function installSeccompListener(program: Uint8Array): number {
  const SECCOMP_FILTER_FLAG_NEW_LISTENER = 8;
  return setSeccompFilter(program, SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

function setSeccompFilter(program: Uint8Array, flags: number): number {
  if (program.length === 0 || program.length % 8 !== 0) throw new RangeError('no seccomp program');
  // struct sock_fprog { unsigned short len; struct sock_filter *filter; }: the pointer is made by koffi.
  const address = addressOf(program);
  const description = new BigUint64Array([BigInt(program.length / 8), address]);
  const SECCOMP_SET_MODE_FILTER = 1;
  const parameters = ['long', 'uint', 'uint', 'const uint64 *'];
  return call('syscall', parameters, [numberOf('seccomp'), SECCOMP_SET_MODE_FILTER, flags, description], {
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

/** Sets SIGPIPE and SIGXFSZ, which Node ignores, back to their default: execve keeps what is ignored. */
export function defaultSignals(): void {
  const SIGXFSZ = 25;
  for (const signal of [13, SIGXFSZ]) native('signal', 'uintptr_t', ['int', 'uintptr_t'])(signal, 0);
}

/** setsid(2): leaves the session, and so the controlling terminal. Throws EPERM for the leader of a process group. */
export function setsid(): void {
  call('setsid', [], []);
}

/** Lets a descriptor survive execve, as programs expect it: Node marks all that it finds at its start close-on-exec, and some non-blocking. */
export function handOver(fd: number): void {
  const [F_SETFD, F_GETFL, F_SETFL] = [2, 3, 4];
  const fcntl = (command: number, value: number): number =>
    call('fcntl', ['int', 'int', 'long'], [fd, command, value]);
  fcntl(F_SETFD, 0);
  fcntl(F_SETFL, fcntl(F_GETFL, 0) & ~constants.O_NONBLOCK);
}

/**
 * execve(2): returns only by throwing (ENOENT, EACCES, ENOEXEC), where Node's own ends the process. Descriptors that are
 * marked close-on-exec go (`handOver`). No byte of the strings may be NUL.
 */
export function execve(path: string, args: readonly string[], env: readonly string[]): void {
  for (const text of [...args, ...env]) cPath(text);
  const parameters = ['const uint8 *', 'const char **', 'const char **'];
  call('execve', parameters, [cPath(path), [...args, null], [...env, null]], { path });
}
