import { constants, statSync } from 'node:fs';
import { dirname, posix } from 'node:path';
import type { Argument, CallName, PlanItem, PlannedCall } from '../host/agent/plan.ts';
import * as sys from '../host/container-constants.ts';
import { deviceNumber, mountFlags } from '../host/syscalls.ts';
import type { RuntimeSpec, SpecDevice, SpecMount } from './runtime-spec.ts';

const AT_FDCWD = -100;
const O_PATH_CLOEXEC = 0o12000000;
const OPEN_TREE_CLONE_CLOEXEC = 0o2000001;
const AT_RECURSIVE = 0x8000;
const RESOLVE_NO_SYMLINKS = 4n;
/** move_mount(2): both ends are descriptors. */
const BY_DESCRIPTORS = 0x44;
const AT_EMPTY_PATH = 0x1000;
const MOUNT_ATTR_RDONLY = 1n;
const MOUNT_ATTR_NODEV = 4n;
const ENOENT = 2;
const EPERM = 1;
const ENOSYS = 38;
/** The number of the first new descriptor: those before are in use. */
const FREE = 4;

const flagWords: Readonly<Record<string, number>> = {
  ro: sys.MS_RDONLY,
  nosuid: sys.MS_NOSUID,
  nodev: sys.MS_NODEV,
  noexec: sys.MS_NOEXEC,
  noatime: sys.MS_NOATIME,
  relatime: sys.MS_RELATIME,
  strictatime: sys.MS_STRICTATIME,
  bind: sys.MS_BIND,
  rbind: sys.MS_BIND | sys.MS_REC,
  rw: 0,
};

/** Splits mount options into flags, what holds for all mounts below too (`rro`), and what the filesystem itself is told. */
export function parseOptions(options: readonly string[]): {
  readonly flags: number;
  readonly recursive: bigint;
  readonly data: string;
} {
  let flags = 0;
  let recursive = 0n;
  const data: string[] = [];
  for (const option of options) {
    const flag = flagWords[option];
    if (option === 'rro') {
      recursive |= MOUNT_ATTR_RDONLY;
      continue;
    }
    if (flag === undefined) data.push(option);
    else flags |= flag;
  }
  return { flags, recursive, data: data.join(',') };
}

export interface MountHost {
  readonly cgroupV2: boolean;
  readonly ids: 'many' | 'single' | undefined;
  readonly view: (path: string) => string;
}

const devices: readonly string[] = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];
const devLinks: Readonly<Record<string, string>> = {
  fd: '/proc/self/fd',
  stdin: '/proc/self/fd/0',
  stdout: '/proc/self/fd/1',
  stderr: '/proc/self/fd/2',
  ptmx: 'pts/ptmx',
};

/** A mount of something of the host. It is taken before the root changes, and put in its place after that. */
interface Clone {
  readonly source: string;
  readonly recursive: boolean;
  readonly fd: number;
}

/**
 * Makes the root filesystem of `spec` the root, with all its mounts, and masks. What is bound is opened first; everything else happens below the
 * new root, which no name can leave then.
 */
export function mountPlan(spec: RuntimeSpec, host: MountHost): PlanItem[] {
  const sandboxed = spec.linux.seccomp !== undefined;
  const clones = new Map<SpecMount | string, Clone>();
  for (const name of devices) clones.set(name, clone(clones, `/dev/${name}`, false));
  for (const mount of spec.mounts) {
    const { flags } = parseOptions(mount.options);
    if ((flags & sys.MS_BIND) !== 0)
      clones.set(mount, clone(clones, mount.source, (flags & sys.MS_REC) !== 0));
  }
  const tools: Tools = { host, sandboxed, clones, next: FREE + clones.size };
  return [
    ...[...clones.values()].map(({ source, recursive }) => {
      const flags = OPEN_TREE_CLONE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
      return call('open_tree', [AT_FDCWD, source, flags], `opening ${source}`);
    }),
    // No device cgroup guards the devices here: so nothing that a step can write to may hold device files that work.
    ...(sandboxed ? [remount(spec.root.path, sys.MS_NODEV | mountFlags(host.view(spec.root.path)))] : []),
    // While those of the sandbox are still to be seen: the kernel shows a user namespace no more of them than it saw before.
    ...spec.mounts.filter(isKernelView).map((mount) => mountKernelView(spec.root.path, mount)),
    call('chdir', [spec.root.path], 'entering the root filesystem'),
    // Old and new root on one spot: the old one is on top then, and goes.
    call('pivot_root', ['.', '.'], 'changing the root'),
    call('umount2', ['.', sys.MNT_DETACH], 'leaving the old root'),
    call('chdir', ['/'], 'entering the new root'),
    ...spec.mounts.filter((mount) => !isKernelView(mount)).flatMap((mount) => mountOne(spec, mount, tools)),
    call('close_range', [FREE, 0xffff_ffff, 0], 'closing descriptors'),
    ...(spec.linux.devices ?? []).flatMap((device) => makeDevice(device)),
    ...spec.linux.maskedPaths.flatMap(mask),
    ...spec.linux.readonlyPaths.flatMap(makeReadonly),
  ];
}

function isKernelView({ type }: SpecMount): boolean {
  return type === 'proc' || type === 'sysfs';
}

/** At /proc or /sys, which are directories: `checkSystemDirectories` has seen to that. */
function mountKernelView(root: string, { destination, type, source, options }: SpecMount): PlannedCall {
  const { flags, data } = parseOptions(options);
  return call('mount', [source, root + destination, type, flags, data], `mounting ${destination}`);
}

interface Tools {
  readonly host: MountHost;
  readonly sandboxed: boolean;
  readonly clones: ReadonlyMap<SpecMount | string, Clone>;
  /** The number that the next descriptor has. */
  readonly next: number;
}

function clone(before: ReadonlyMap<unknown, Clone>, source: string, recursive: boolean): Clone {
  return { source, recursive, fd: FREE + before.size };
}

function call(name: CallName, args: readonly Argument[], what: string): PlannedCall {
  return { name, args, what };
}

/** Mounts again what is mounted at a place, with all of these flags. */
function remount(target: string, flags: number): PlannedCall {
  const all = flags | sys.MS_REMOUNT | sys.MS_BIND;
  return call('mount', ['none', target, null, all, null], `mounting ${target} again`);
}

function mountOne(spec: RuntimeSpec, mount: SpecMount, tools: Tools): PlanItem[] {
  const { destination, type, source } = mount;
  const { flags, recursive, data } = parseOptions(mount.options);
  const about = `mounting ${destination}`;
  const bound = tools.clones.get(mount);
  const isFile = bound !== undefined && !statSync(tools.host.view(source)).isDirectory();
  const nested = spec.mounts.some((other) => destination.startsWith(`${other.destination}/`));
  const point = nested ? makePoint(tools, destination, isFile) : [];
  const made = (kind: string, how: number, options: string | null): PlanItem[] => [
    ...point,
    ...onMountPoint(tools, destination, (target) => [
      call('mount', [source, target, kind, how, options], about),
    ]),
  ];
  if (type === 'cgroup') {
    if (tools.host.cgroupV2) return made('cgroup2', flags, null);
    // The old hierarchies are not shown, also where /sys is the host's.
    const seen = spec.mounts.some((other) => other.destination === '/sys' && tools.clones.has(other));
    return seen ? made('tmpfs', flags | sys.MS_RDONLY, 'size=0k') : [];
  }
  // The devices themselves are bound from the host, which has them on a filesystem that allows devices.
  const nodev = tools.sandboxed ? sys.MS_NODEV : 0;
  if (bound === undefined) {
    const items = made(type, flags | (type === 'tmpfs' ? nodev : 0), data);
    return destination === '/dev' ? [...items, ...fillDev(tools)] : items;
  }
  return [
    ...point,
    ...attach(tools, { bound, target: destination, flags: flags | nodev }),
    ...(bound.recursive ? setBelow(bound, recursive | (tools.sandboxed ? MOUNT_ATTR_NODEV : 0n)) : []),
  ];
}

/** Opens a place, on the way to which there is no link, and closes it again. */
function onMountPoint(
  { next }: Tools,
  target: string,
  use: (name: string, fd: number) => readonly PlanItem[],
): PlanItem[] {
  const how = [BigInt(O_PATH_CLOEXEC), 0n, RESOLVE_NO_SYMLINKS];
  return [
    call('openat2', [AT_FDCWD, target, how, 24], `opening the mount point ${target}`),
    ...use(`/proc/self/fd/${next}`, next),
    call('close', [next], 'closing a mount point'),
  ];
}

function attach(
  tools: Tools,
  { bound, target, flags }: { readonly bound: Clone; readonly target: string; readonly flags: number },
): PlanItem[] {
  const kept = flags & ~(sys.MS_BIND | sys.MS_REC);
  const all = kept | mountFlags(tools.host.view(bound.source));
  return [
    ...onMountPoint(tools, target, (_name, fd) => [
      call('move_mount', [bound.fd, '', fd, '', BY_DESCRIPTORS], `mounting ${target}`),
    ]),
    // A bind mount takes its flags only when it is mounted again.
    remount(`/proc/self/fd/${bound.fd}`, all),
  ];
}

/** Sets attributes on a mount and on all that came with it, which mounting again does not reach. Linux 5.12. */
function setBelow({ fd, source }: Clone, attributes: bigint): PlanItem[] {
  if (attributes === 0n) return [];
  const what = `restricting what is mounted below ${source}`;
  const args = [fd, '', AT_EMPTY_PATH | AT_RECURSIVE, [attributes, 0n, 0n, 0n], 32];
  return [{ ...call('mount_setattr', args, what), ignore: ENOSYS }];
}

/**
 * A mount point inside another mount. What is there already stays. No link is followed on the way: one to /proc/self/fd in a cache would lead
 * to what is still to be mounted.
 */
function makePoint(tools: Tools, target: string, isFile: boolean): PlanItem[] {
  const what = `making the mount point ${target}`;
  const parts = target.split('/').slice(1);
  return parts.flatMap((name, index) =>
    onMountPoint(tools, `/${parts.slice(0, index).join('/')}`, (_, parent) => {
      const made =
        isFile && index === parts.length - 1
          ? call('mknodat', [parent, name, constants.S_IFREG | 0o644, 0], what)
          : call('mkdirat', [parent, name, 0o755], what);
      return [{ ...made, ignore: 'any' }];
    }),
  );
}

/** The devices are the host's own: on a read-only mount they can be written to, but nobody can change their mode, owner or times. */
function fillDev(tools: Tools): PlanItem[] {
  const what = 'filling /dev';
  return [
    ...devices.flatMap((name) => {
      const target = `/dev/${name}`;
      const bound = tools.clones.get(name);
      if (bound === undefined) return [];
      const flags = sys.MS_RDONLY | sys.MS_NOSUID | sys.MS_NOEXEC;
      return [
        call('mknodat', [AT_FDCWD, target, constants.S_IFREG | 0o644, 0], what),
        ...attach(tools, { bound, target, flags }),
      ];
    }),
    ...Object.entries(devLinks).map(([name, to]) =>
      call('symlinkat', [to, AT_FDCWD, posix.join('/dev', name)], what),
    ),
    ...['pts', 'shm', 'mqueue'].map((name) =>
      call('mkdirat', [AT_FDCWD, posix.join('/dev', name), 0o755], what),
    ),
  ];
}

/** A device file of the container's own in its fresh /dev; a user namespace can make none. */
function makeDevice({ path, type, major, minor }: SpecDevice): PlanItem[] {
  const mode = (type === 'b' ? constants.S_IFBLK : constants.S_IFCHR) | 0o666;
  const what = `making ${path}`;
  return [
    { ...call('mkdirat', [AT_FDCWD, dirname(path), 0o755], what), ignore: 'any' },
    { ...call('mknodat', [AT_FDCWD, path, mode, deviceNumber({ major, minor })], what), ignore: EPERM },
    { ...call('fchmodat', [AT_FDCWD, path, 0o666], what), ignore: ENOENT },
  ];
}

/** The kernel is the host's, so what it shows is seen here already. */
function mask(path: string): PlanItem[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return [];
  const what = `masking ${path}`;
  const item = stat.isDirectory()
    ? call('mount', ['tmpfs', path, 'tmpfs', sys.MS_RDONLY, 'nr_blocks=1,nr_inodes=1'], what)
    : call('mount', ['/dev/null', path, null, sys.MS_BIND, null], what);
  return [{ ...item, ignore: ENOENT }];
}

function makeReadonly(path: string): PlanItem[] {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return [];
  const flags = sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC | sys.MS_RDONLY;
  const bind = call('mount', [path, path, null, sys.MS_BIND | sys.MS_REC, null], `binding ${path}`);
  return [bind, remount(path, flags)].map((item) => ({ ...item, ignore: ENOENT }));
}
