import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Attempt, Lab } from '../attempt.ts';
import { hangs, mountLandsOn } from '../naive.ts';

// Hostile base images: what a host process meets in their files.

/** A layer of the attacker's above the usual root filesystem. */
function layer(lab: Lab, fill: (directory: string) => void): readonly string[] {
  const directory = join(lab.folder, 'layer');
  mkdirSync(directory);
  fill(directory);
  return [lab.layer, directory];
}

/** A directory of the host that must stay as it is. */
function victim(lab: Lab): string {
  const path = join(lab.folder, 'victim');
  mkdirSync(join(path, 'shm'), { recursive: true });
  writeFileSync(join(path, 'ptmx'), 'host');
  return path;
}

function isHarmed(path: string): boolean {
  if (!existsSync(path)) return true;
  const left = (readdirSync(path, { recursive: true }) as string[]).toSorted().join();
  return left !== 'ptmx,shm' || readFileSync(join(path, 'ptmx'), 'utf8') !== 'host';
}

/** The image has a link to the host in the place of a directory on which something is mounted. */
function linkInPlaceOf(row: string, path: string): Attempt {
  const plant = (directory: string, target: string): void => {
    mkdirSync(join(directory, path, '..'), { recursive: true });
    symlinkSync(target, join(directory, path));
  };
  return {
    row,
    what: `an image whose ${path} is a link to the host`,
    async attack(lab) {
      const target = victim(lab);
      const layers = layer(lab, (directory) => plant(directory, target));
      await lab.run(`touch ${path}/made`, { layers }).catch(() => {});
      return isHarmed(target);
    },
    weakened(lab) {
      const target = victim(lab);
      plant(lab.folder, target);
      return mountLandsOn(lab.folder, path, target);
    },
  };
}

function plantNames(directory: string, target: string): void {
  mkdirSync(join(directory, 'etc'));
  for (const name of ['hosts', 'resolv.conf']) symlinkSync(target, join(directory, 'etc', name));
}

/** Files of passwd(5) that a step's user is looked up in. */
function users(
  what: string,
  about: {
    readonly file?: '/etc/group';
    readonly row?: string;
    readonly user?: string;
    readonly plant: (path: string, lab: Lab) => void;
    readonly naively: (path: string, lab: Lab) => boolean;
  },
): Attempt {
  const { file = '/etc/passwd', row = 'S-P-5', user = 'evil' } = about;
  const plant = (lab: Lab): string => {
    const directory = join(lab.folder, 'layer');
    mkdirSync(join(directory, 'etc'), { recursive: true });
    about.plant(join(directory, file), lab);
    return directory;
  };
  return {
    row,
    what,
    async attack(lab) {
      // Found where it must not be looked for; or not found at all within the time.
      const directory = plant(lab);
      const run = lab.run('id', { layers: [lab.layer, directory], op: { user } });
      return (await run).exitCode === 0;
    },
    weakened: (lab) => about.naively(join(plant(lab), file), lab),
  };
}

const hostUsers = (lab: Lab): string => {
  const path = join(lab.folder, 'host-users');
  writeFileSync(path, 'evil:x:0:0::/:/bin/sh\n');
  return path;
};

/** A step puts a link where a mount point was made for it. */
async function swappedStub(lab: Lab): Promise<boolean> {
  const target = join(lab.folder, 'victim');
  mkdirSync(join(target, 'stub'), { recursive: true });
  await lab.run(`mkdir /moved; mv /a /moved/a; ln -s ${target} /a`, {
    op: { mounts: [{ type: 'tmpfs', target: '/a/stub' }] },
  });
  return !existsSync(join(target, 'stub'));
}

function swappedNaively(lab: Lab): boolean {
  const target = join(lab.folder, 'victim');
  mkdirSync(join(target, 'stub'), { recursive: true });
  symlinkSync(target, join(lab.folder, 'a'));
  rmdirSync(join(lab.folder, 'a/stub'));
  return !existsSync(join(target, 'stub'));
}

/** A step leaves directories that are deeper than a name can say. */
const deep = 'i=0; while [ $i -lt 60 ]; do mkdir $NAME && cd -P ./$NAME || break; i=$((i+1)); done; true';

async function deepTree(lab: Lab): Promise<boolean> {
  const run = await lab.run(['/bin/sh', '-c', `unset PWD; ${deep.replaceAll('$NAME', 'd'.repeat(200))}`], {
    op: { cwd: '/tmp' },
  });
  await run.discard();
  return existsSync(run.upper);
}

async function deepNaively(lab: Lab): Promise<boolean> {
  const name = 'd'.repeat(200);
  const script = `for (let i = 0; i < 60; i++) { fs.mkdirSync('${name}'); process.chdir('${name}'); }`;
  execFileSync(process.execPath, ['-e', script], { cwd: lab.folder });
  await rm(join(lab.folder, name), { recursive: true }).catch(() => {});
  return existsSync(join(lab.folder, name));
}

export const images: readonly Attempt[] = [
  linkInPlaceOf('CVE-2023-27561', '/proc'),
  linkInPlaceOf('CVE-2026-41579', '/dev'),
  linkInPlaceOf('S-P-7', '/sys'),
  linkInPlaceOf('S-P-7', '/etc'),
  linkInPlaceOf('S-P-7', '/dev/shm'),
  linkInPlaceOf('S-P-7', '/dev/pts'),
  linkInPlaceOf('CVE-2025-52565', '/dev/console'),
  linkInPlaceOf('CVE-2023-25809', '/sys/fs/cgroup'),
  {
    row: 'CVE-2015-3629',
    what: 'an image whose hosts and resolv.conf are links to a file of the host',
    async attack(lab) {
      const layers = layer(lab, (directory) => plantNames(directory, lab.host.marker));
      const { stdout } = await lab.run('cat /etc/hosts /etc/resolv.conf', { layers });
      return stdout.includes('canary') || readFileSync(lab.host.marker, 'utf8') !== 'canary';
    },
    weakened(lab) {
      plantNames(lab.folder, lab.host.marker);
      return readFileSync(join(lab.folder, 'etc/hosts'), 'utf8') === 'canary';
    },
  },
  users('a passwd that is a FIFO', {
    plant: (path) => void execFileSync('mkfifo', [path]),
    naively: hangs,
  }),
  users('a passwd that leads to a device without an end', {
    plant: (path) => symlinkSync('/dev/zero', path),
    naively: hangs,
  }),
  users('a passwd of more than 10 MiB', {
    row: 'CVE-2024-9676',
    plant(path) {
      writeFileSync(path, 'evil:x:0:0::/:/bin/sh\n');
      truncateSync(path, 11 * 1024 * 1024);
    },
    naively: (path) => readFileSync(path, 'utf8').startsWith('evil:x:0:0'),
  }),
  users('a group file of more than 10 MiB', {
    row: 'CVE-2026-47262',
    ...{ file: '/etc/group', user: 'root:evil' },
    plant(path) {
      writeFileSync(path, 'evil:x:0:\n');
      truncateSync(path, 11 * 1024 * 1024);
    },
    naively: (path) => readFileSync(path, 'utf8').startsWith('evil:x:0'),
  }),
  users('a passwd that is a link to a file of the host', {
    plant: (path, lab) => symlinkSync(hostUsers(lab), path),
    naively: (path) => readFileSync(path, 'utf8').startsWith('evil:x:0:0'),
  }),
  users('a passwd that leads through /proc/self/root', {
    plant: (path, lab) => symlinkSync(`/proc/self/root${hostUsers(lab)}`, path),
    naively: (path) => readFileSync(path, 'utf8').startsWith('evil:x:0:0'),
  }),
  users('a user whose number overflows to root', {
    row: 'CVE-2024-40635',
    user: '4294967296',
    plant: (path) => copyFileSync('/dev/null', path),
    naively: () => Math.trunc(4_294_967_296) >> 0 === 0,
  }),
  users('a passwd entry whose number overflows to root', {
    row: 'CVE-2026-46680',
    plant: (path) => writeFileSync(path, 'evil:x:4294967296:4294967296::/:/bin/sh\n'),
    naively: (path) => Number(readFileSync(path, 'utf8').split(':')[2]) >> 0 === 0,
  }),
  {
    row: 'CVE-2024-23652',
    what: 'a link in the place of a mount point, for the clean-up to follow',
    attack: swappedStub,
    weakened: swappedNaively,
  },
  {
    row: 'S-P-3',
    what: 'directories deeper than a name can say, for the clean-up to stumble over',
    attack: deepTree,
    weakened: deepNaively,
  },
];
