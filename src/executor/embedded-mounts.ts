import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  readdirSync,
  openSync,
  readlinkSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join, posix } from 'node:path';
import * as sys from '../host/container-syscalls.ts';
import { mknod, openat2, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS } from '../host/syscalls.ts';
import { RootTree } from './root-tree.ts';
import type { SpecDevice, SpecMount } from './runtime-spec.ts';

const O_PATH = 0o10000000;

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

/** Splits mount options into flags and what the filesystem itself is told. */
export function parseOptions(options: readonly string[]): { readonly flags: number; readonly data: string } {
  let flags = 0;
  const data: string[] = [];
  for (const option of options) {
    const flag = flagWords[option];
    if (flag === undefined) data.push(option);
    else flags |= flag;
  }
  return { flags, data: data.join(',') };
}

/** Mounts one entry of config.json below `root`; a missing mount point is made. The name is resolved by the kernel inside `root`. */
export function mountInto(root: string, mount: SpecMount, how: { readonly sandboxed: boolean }): void {
  if (mount.type === 'cgroup') {
    mountCgroup(root, mount);
    return;
  }
  const { flags, data } = parseOptions(mount.options);
  const bind = (flags & sys.MS_BIND) !== 0;
  const file = bind && !statSync(mount.source).isDirectory();
  onMountPoint(root, { path: mount.destination, file }, (target) => {
    if (bind) {
      sys.mount({ source: mount.source, target, flags: flags & (sys.MS_BIND | sys.MS_REC) });
      return;
    }
    // The devices themselves are bound from the host, which has them on a filesystem that allows devices.
    const nodev = how.sandboxed && mount.type === 'tmpfs' ? sys.MS_NODEV : 0;
    sys.mount({ source: mount.source, target, type: mount.type, flags: flags | nodev, data });
  });
  if (bind) {
    // A bind mount takes its flags only when it is mounted again.
    const rest = (flags & ~(sys.MS_BIND | sys.MS_REC)) | (how.sandboxed ? sys.MS_NODEV : 0);
    onMountPoint(root, { path: mount.destination, file }, (target) =>
      sys.mount({
        source: 'none',
        target,
        flags: rest | sys.mountFlags(target) | sys.MS_REMOUNT | sys.MS_BIND,
      }),
    );
  }
  if (mount.destination === '/dev') fillDev(root);
}

/** Opens the mount point, makes it where it is missing, and calls `use` with a name that nobody can change. */
function onMountPoint(
  root: string,
  point: { readonly path: string; readonly file: boolean },
  use: (target: string) => void,
): void {
  const rootFd = openSync(root, O_PATH | constants.O_DIRECTORY);
  try {
    const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const open = (): number => openat2(rootFd, point.path, { flags: O_PATH, resolve });
    let fd: number;
    try {
      fd = open();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      makePoint(root, point);
      fd = open();
    }
    try {
      const place = readlinkSync(`/proc/self/fd/${fd}`);
      const inside = posix.relative(root, place);
      if (/^(proc|sys)(\/|$)/.test(inside) && !/^\/(proc|sys)(\/|$)/.test(point.path))
        throw new Error(`the mount point ${point.path} leads to /${inside}`);
      if (fstatSync(fd).isDirectory() === point.file)
        throw new Error(`the mount point ${point.path} is not a ${point.file ? 'file' : 'directory'}`);
      use(`/proc/self/fd/${fd}`);
    } finally {
      closeSync(fd);
    }
  } finally {
    closeSync(rootFd);
  }
}

function makePoint(root: string, point: { readonly path: string; readonly file: boolean }): void {
  using tree = new RootTree(root);
  const place = tree.resolve(point.path);
  let parent = posix.resolve(place.path, ...place.missing.map(() => '..'));
  place.missing.forEach((name, index) => {
    const owner = { uid: 0, gid: 0 };
    if (point.file && index === place.missing.length - 1)
      tree.makeFile(parent, name, { ...owner, mode: 0o644, content: new Uint8Array() });
    else tree.makeDirectory(parent, name, { ...owner, mode: 0o755 });
    parent = posix.join(parent, name);
  });
}

const devices: readonly string[] = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];

/**
 * /dev is a fresh tmpfs: nobody else has it yet, so plain names are safe. The devices are the host's own: on a read-only mount they
 * can be written to, but nobody can change their mode, owner or times.
 */
function fillDev(root: string): void {
  for (const name of devices) {
    const target = join(root, 'dev', name);
    closeSync(openSync(target, 'wx', 0o666));
    sys.mount({ source: `/dev/${name}`, target, flags: sys.MS_BIND });
    sys.mount({
      source: 'none',
      target,
      flags:
        sys.MS_BIND | sys.MS_REMOUNT | sys.MS_RDONLY | sys.MS_NOSUID | sys.MS_NOEXEC | sys.mountFlags(target),
    });
  }
  const links: Readonly<Record<string, string>> = {
    fd: '/proc/self/fd',
    stdin: '/proc/self/fd/0',
    stdout: '/proc/self/fd/1',
    stderr: '/proc/self/fd/2',
    ptmx: 'pts/ptmx',
  };
  for (const [name, to] of Object.entries(links)) symlinkSync(to, join(root, 'dev', name));
  for (const name of ['pts', 'shm', 'mqueue']) mkdirSync(join(root, 'dev', name));
}

/** A device file of the container's own in its fresh /dev. */
export function makeDevice(root: string, device: SpecDevice): void {
  const path = join(root, device.path);
  mkdirSync(dirname(path), { recursive: true });
  mknod(path, (device.type === 'b' ? constants.S_IFBLK : constants.S_IFCHR) | 0o666, device);
  chmodSync(path, 0o666);
}

/** With cgroup v2 the container sees its own cgroup namespace; the old hierarchies are not shown, also where /sys is the host's. */
function mountCgroup(root: string, mount: SpecMount): void {
  const { flags } = parseOptions(mount.options);
  const v2 = statSync('/sys/fs/cgroup/cgroup.controllers', { throwIfNoEntry: false }) !== undefined;
  onMountPoint(root, { path: mount.destination, file: false }, (target) => {
    if (v2) sys.mount({ source: 'cgroup2', target, type: 'cgroup2', flags });
    else if (readdirSync(target).length > 0)
      sys.mount({ source: 'tmpfs', target, type: 'tmpfs', flags: flags | sys.MS_RDONLY, data: 'size=0k' });
  });
}
