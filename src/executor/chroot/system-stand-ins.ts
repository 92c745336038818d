import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { mknod } from '../../host/syscalls.ts';
import { BuildError } from '../../util/build-error.ts';
import type { RootTree } from '../root-tree.ts';
import type { StandIns } from './stand-ins.ts';

const S_IFCHR = 0o020000;

/** Major and minor numbers of the devices that every container has (linux/Documentation/admin-guide/devices.txt). */
const devices: Readonly<Record<string, readonly [major: number, minor: number]>> = {
  null: [1, 3],
  zero: [1, 5],
  full: [1, 7],
  random: [1, 8],
  urandom: [1, 9],
  tty: [5, 0],
};

/** What programs read of a machine in /proc. Nothing of any process: a copy of that would be wrong for every other. */
const machineFiles: readonly string[] = [
  ...['cpuinfo', 'filesystems', 'loadavg', 'meminfo', 'stat', 'uptime', 'version'],
  ...['sys/kernel/cap_last_cap', 'sys/kernel/osrelease', 'sys/kernel/ostype', 'sys/kernel/version'],
  ...['sys/kernel/overflowuid', 'sys/kernel/overflowgid', 'sys/kernel/ngroups_max', 'sys/kernel/pid_max'],
  'sys/vm/overcommit_memory',
];

/** /dev with the devices of a container, /proc with what says something of the machine, an empty /sys. Throws SANDBOX_UNAVAILABLE. */
export function placeSystem(tree: RootTree, standIns: StandIns): void {
  standIns.place(tree, '/dev', { make: makeDevices });
  standIns.place(tree, '/proc', { make: makeProc });
  standIns.place(tree, '/sys', { make: (place) => mkdirSync(place, { mode: 0o555 }) });
}

function makeDevices(place: string): void {
  mkdirSync(place);
  for (const [name, [major, minor]] of Object.entries(devices)) {
    const path = join(place, name);
    try {
      mknod(path, S_IFCHR | 0o666, { major, minor });
    } catch (error) {
      throw new BuildError('SANDBOX_UNAVAILABLE', `/dev/${name} of a step cannot be made here`, {
        hint: 'start the container with --cap-add MKNOD',
        cause: error,
      });
    }
    chmodSync(path, 0o666);
  }
  for (const [name, mode] of [
    ['shm', 0o1777],
    ['pts', 0o755],
  ] as const) {
    mkdirSync(join(place, name));
    chmodSync(join(place, name), mode);
  }
}

function makeProc(place: string): void {
  mkdirSync(place);
  for (const name of machineFiles) {
    let content: Buffer;
    try {
      content = readFileSync(join('/proc', name));
    } catch {
      // Not every kernel has each of them.
      continue;
    }
    mkdirSync(dirname(join(place, name)), { recursive: true });
    writeFileSync(join(place, name), content, { mode: 0o444 });
  }
  writeFileSync(join(place, 'mounts'), 'rootfs / rootfs rw 0 0\n', { mode: 0o444 });
}
