import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { constants as system } from 'node:os';
import { join, posix } from 'node:path';
import type { Notification } from '../host/seccomp-notify.ts';
import {
  answerNotification,
  receiveNotification,
  stillWaits,
  takeDescriptor,
  waitForNotification,
} from '../host/seccomp-notify.ts';
import { chownOpen, openat2, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS } from '../host/syscalls.ts';
import type { Owner } from '../image/owners.ts';
import { recordedOwner, recordOwner } from '../image/owners.ts';
import type { ChownCall } from './owner-filter.ts';
import { chownCalls } from './owner-filter.ts';
import type { SeccompArch } from './seccomp.ts';

const O_PATH = 0o10000000;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const PATH_MAX = 4096;
/** An id that stays as it is. */
const UNCHANGED = 0xffff_ffff;
const root: Owner = { uid: 0, gid: 0 };

/**
 * Answers chown(2) of a step where there is a single id: writes down who was to be the owner, and says that it was done. Whatever the step
 * does meanwhile, nothing outside its own root filesystem is touched: the kernel resolves names below that root (S-P-1).
 */
export class OwnerSupervisor implements AsyncDisposable {
  /** Owners of symbolic links and of what else has no attributes, by inode of the upper directory. */
  readonly others: Map<bigint, Owner> = new Map();
  readonly #listener: number;
  readonly #root: number;
  readonly #upper: string;
  readonly #calls: ReadonlyMap<number, ChownCall>;
  readonly #ended: Promise<void>;

  /** `fd` is the listener's number in the process `pid`, whose root filesystem is the step's. */
  constructor(step: {
    readonly pid: number;
    readonly fd: number;
    readonly arch: SeccompArch;
    readonly upper: string;
  }) {
    this.#calls = chownCalls(step.arch);
    this.#upper = step.upper;
    this.#root = openSync(`/proc/${step.pid}/root`, O_PATH | constants.O_DIRECTORY);
    this.#listener = takeDescriptor(step.pid, step.fd);
    this.#ended = this.#serve();
  }

  async #serve(): Promise<void> {
    while (await waitForNotification(this.#listener)) {
      const call = receiveNotification(this.#listener);
      if (call !== undefined) answerNotification(this.#listener, call.id, this.#answer(call));
    }
  }

  /** The error number for the caller. */
  #answer(call: Notification): number {
    const kind = this.#calls.get(call.number);
    if (kind === undefined) return system.errno.ENOSYS;
    let fd: number | undefined;
    try {
      fd = this.#open(call, kind);
      const [uid = 0, gid = 0] = (kind === 'fchownat' ? call.args.slice(2) : call.args.slice(1)).map(low);
      if (stillWaits(this.#listener, call.id)) this.#give(fd, { uid, gid });
      return 0;
    } catch (error) {
      const { code = 'EPERM' } = error as NodeJS.ErrnoException;
      return (system.errno as Readonly<Record<string, number>>)[code] ?? system.errno.EPERM;
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  #give(fd: number, wanted: Owner): void {
    const stable = `/proc/self/fd/${fd}`;
    const stat = fstatSync(fd);
    const name = readlinkSync(stable);
    // Pipes and sockets have no name.
    if (!name.startsWith('/')) return;
    // The real change of owner, to root, does the rest of what it does: setuid bits go, times change, the file comes up.
    chownOpen(fd, 0, 0);
    const kept = stat.isFile() || stat.isDirectory();
    const inode = kept ? undefined : this.#inodeOf(name);
    const before = (inode === undefined ? recordedOwner(stable, 'follow') : this.others.get(inode)) ?? root;
    const owner = {
      uid: wanted.uid === UNCHANGED ? before.uid : wanted.uid,
      gid: wanted.gid === UNCHANGED ? before.gid : wanted.gid,
    };
    if (kept) recordOwner(stable, owner, 'follow');
    else if (inode !== undefined) this.others.set(inode, owner);
  }

  /** undefined: it is on some other mount, of which no layer is made. */
  #inodeOf(name: string): bigint | undefined {
    return lstatSync(join(this.#upper, name), { bigint: true, throwIfNoEntry: false })?.ino;
  }

  /** Opens what the call is about, without the right to read or write it. */
  #open({ pid, args }: Notification, kind: ChownCall): number {
    const [first = 0n, second = 0n] = args;
    if (kind === 'fchown') return openSync(`/proc/${pid}/fd/${low(first)}`, O_PATH);
    const flags = kind === 'fchownat' ? low(args[4] ?? 0n) : kind === 'lchown' ? AT_SYMLINK_NOFOLLOW : 0;
    const path = readText(pid, kind === 'fchownat' ? second : first);
    const directory = kind === 'fchownat' ? low(first) | 0 : AT_FDCWD;
    if (path === '') {
      if ((flags & AT_EMPTY_PATH) === 0) throw Object.assign(new Error('no name'), { code: 'ENOENT' });
      return openSync(directory === AT_FDCWD ? `/proc/${pid}/cwd` : `/proc/${pid}/fd/${directory}`, O_PATH);
    }
    const how = {
      flags: O_PATH | ((flags & AT_SYMLINK_NOFOLLOW) === 0 ? 0 : constants.O_NOFOLLOW),
      resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    if (!path.startsWith('/')) {
      const base = readlinkSync(directory === AT_FDCWD ? `/proc/${pid}/cwd` : `/proc/${pid}/fd/${directory}`);
      return openat2(this.#root, posix.join(base, path), how);
    }
    // A process may have another root than the step's first one (chroot).
    const own = openSync(`/proc/${pid}/root`, O_PATH | constants.O_DIRECTORY);
    try {
      return openat2(own, path, how);
    } finally {
      closeSync(own);
    }
  }

  /** Waits until no process of the step is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ended;
    closeSync(this.#listener);
    closeSync(this.#root);
  }
}

function low(value: bigint): number {
  return Number(value & 0xffff_ffffn);
}

/** A text in another process's memory, up to its NUL. */
function readText(pid: number, address: bigint): string {
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    const bytes = Buffer.alloc(PATH_MAX);
    const count = readSync(memory, bytes, 0, PATH_MAX, address);
    const end = bytes.subarray(0, count).indexOf(0);
    if (end < 0) throw Object.assign(new Error('a name without an end'), { code: 'ENAMETOOLONG' });
    // Names are bytes: those that are no UTF-8 are left alone, as nothing of them could go into a layer.
    return bytes.subarray(0, end).toString('utf8');
  } finally {
    closeSync(memory);
  }
}
