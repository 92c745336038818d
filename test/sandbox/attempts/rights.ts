import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { findProgram, helperPath } from '../../../src/host/probe.ts';
import { callProgram } from '../../support/elf.ts';
import type { Attempt, Lab } from '../attempt.ts';
import { inOwnMounts } from '../naive.ts';

// What a step's processes may do: devices, setuid, capabilities, groups, descriptors.

/** Opens a file: ends with 0 where that is allowed. */
const opens = (path: string): Uint8Array =>
  callProgram({ calls: [{ number: 257, args: [-100, path, 0] }], stopOnError: true });

function layerWith(lab: Lab, name: string, fill: (layer: string) => void): readonly string[] {
  const layer = join(lab.folder, name);
  mkdirSync(layer);
  fill(layer);
  return [lab.layer, layer];
}

function executable(path: string, content: Uint8Array | string, mode = 0o755): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  chmodSync(path, mode);
}

/** A step in a group that may not read the file, with a program that changes its group to another one. */
async function withoutItsGroup(lab: Lab): Promise<boolean> {
  const run = await lab.run(
    // As root: what an image brings.
    'chgrp 1001 /guarded && chmod 604 /guarded && chgrp 44 /other && chmod 2755 /other',
    {
      layers: layerWith(lab, 'groups', (layer) => {
        writeFileSync(join(layer, 'guarded'), 'guarded');
        executable(join(layer, 'other'), opens('/guarded'));
      }),
    },
  );
  const second = await lab.run(['/other'], {
    layers: [lab.layer, join(lab.folder, 'groups'), run.upper],
    op: { user: 'worker' },
  });
  return second.exitCode === 0;
}

/** Can everybody of the host get to a file? */
function everybodyReaches(file: string, above: string): boolean {
  for (let path = dirname(file); path.startsWith(above); path = dirname(path)) {
    if ((statSync(path).mode & 0o001) === 0) return false;
  }
  return true;
}

async function setuidOnHost(lab: Lab): Promise<boolean> {
  const run = await lab.run('cp /bin/busybox /suid && chmod 4755 /suid');
  const file = join(run.upper, 'suid');
  const kept = (statSync(file).mode & 0o4001) === 0o4001;
  return kept && everybodyReaches(file, lab.store);
}

/** An interpreter that is the runtime itself, and a loader of the attacker's for it (CVE-2019-5736). */
async function ownRuntime(lab: Lab): Promise<boolean> {
  const path = helperPath(process.env);
  const programs = [process.execPath, ...['runc', 'chroot'].flatMap((name) => findProgram(name, path) ?? [])];
  const states = (): string => programs.map((file) => statSync(file, { bigint: true }).ctimeNs).join();
  const before = states();
  const loader = callProgram({
    stopOnError: true,
    calls: [
      { number: 257, args: [-100, '/proc/self/exe', 0] },
      // The mode that it has: what gets through does no harm.
      { number: 91, args: [{ result: 0 }, statSync(programs.at(-1) ?? '').mode & 0o7777] },
    ],
  });
  const layers = layerWith(lab, 'layer', (layer) => {
    executable(join(layer, 'evil'), '#!/proc/self/exe\n');
    for (const place of ['lib64/ld-linux-x86-64.so.2', 'lib/ld-musl-x86_64.so.1'])
      executable(join(layer, place), loader);
  });
  await lab.run(['/evil'], { layers });
  return states() !== before;
}

/** What a process of the host would load if it had the step's environment. */
async function environmentOfRuntime(lab: Lab): Promise<boolean> {
  const made = join(lab.folder, 'made');
  const module = join(lab.folder, 'evil.cjs');
  writeFileSync(module, `require('node:fs').writeFileSync(${JSON.stringify(made)}, '')`);
  const env = ['PATH=/bin', `NODE_OPTIONS=--require=${module}`, `LD_PRELOAD=${module}`, `BASH_ENV=${module}`];
  await lab.run('true', { op: { env } });
  return statSync(made, { throwIfNoEntry: false }) !== undefined;
}

function environmentNaively(lab: Lab): boolean {
  const made = join(lab.folder, 'made');
  const module = join(lab.folder, 'evil.cjs');
  writeFileSync(module, `require('node:fs').writeFileSync(${JSON.stringify(made)}, '')`);
  execFileSync(process.execPath, ['-e', ''], { env: { NODE_OPTIONS: `--require=${module}` } });
  return statSync(made, { throwIfNoEntry: false }) !== undefined;
}

/** The owner that it has already: what gets through does no harm. */
async function changesNull(change: () => unknown): Promise<boolean> {
  const { ctimeMs } = statSync('/dev/null');
  await change();
  return statSync('/dev/null').ctimeMs !== ctimeMs;
}

const groupsUnchanged = 'setgroups(2) is given up with the single id: all is done as its one user';

export const rights: readonly Attempt[] = [
  {
    row: 'S-SB-7',
    what: 'make the device of the kernel log in the image, and write to it',
    attack: { script: 'mknod /tmp/kmsg c 1 11 && (: >/tmp/kmsg)' },
    weakened: 'devices',
  },
  {
    row: 'S-SB-7',
    what: 'the same in /dev',
    attack: { script: 'mknod /dev/kmsg c 1 11 && (: >/dev/kmsg)' },
    weakened: 'devices',
    // There nothing that a step can write to takes devices.
    weakenedOn: ['runc'],
  },
  {
    row: 'S-SB-7',
    what: 'make the devices of the disks, and read one',
    attack: {
      script: `for f in /sys/block/*/dev /sys/block/*/*/dev; do [ -f $f ] || continue
        IFS=: read -r major minor <$f; rm -f /tmp/disk; mknod /tmp/disk b $major $minor && (: </tmp/disk) && exit 0; done; exit 1`,
    },
    weakened: 'devices',
  },
  {
    row: 'S-SB-7',
    what: "change the owner of the host's devices",
    attack: (lab) => changesNull(() => lab.run('chown 0:0 /dev/null /dev/stdin <&0')),
    weakened: (lab) =>
      changesNull(() => {
        const place = join(lab.folder, 'null');
        writeFileSync(place, '');
        return inOwnMounts('mount --bind /dev/null "$1" && chown 0:0 "$1"', place);
      }),
  },
  {
    row: 'CVE-2022-29162',
    what: 'inherit capabilities',
    attack: { script: "grep -q '^CapInh:.*[1-9a-f]' /proc/1/status" },
    weakened: 'inheritable',
  },
  {
    row: 'CVE-2022-36109',
    what: 'lose the group that keeps a file from its members',
    attack: withoutItsGroup,
    weakened: 'groups',
    exceptions: { 'single id': groupsUnchanged },
  },
  {
    row: 'CVE-2025-4953',
    what: 'leave a setuid program where users of the host can run it',
    attack: setuidOnHost,
    weakened: async (lab) => {
      chmodSync(lab.folder, 0o755);
      executable(join(lab.folder, 'store/suid'), 'x', 0o4755);
      return Promise.resolve(everybodyReaches(join(lab.folder, 'store/suid'), lab.folder));
    },
  },
  {
    row: 'CVE-2024-21626',
    what: "find a directory of the host among the step's descriptors",
    attack: {
      script:
        'for f in /proc/1/fd/* /proc/1/cwd; do for up in . ..; do [ -e $f/$up/marker ] && exit 0; done; done; exit 1',
    },
    weakened: 'descriptors',
  },
  {
    row: 'S-SB-7',
    what: 'type into the terminal of whoever builds (TIOCSTI)',
    async attack(lab) {
      const layers = layerWith(lab, 'layer', (layer) => executable(join(layer, 'open'), opens('/dev/tty')));
      return (await lab.run(['/open'], { layers, terminal: 'plain' })).exitCode === 0;
    },
    weakened: 'session',
    // runc makes a session whatever it is told.
    weakenedOn: ['embedded'],
  },
  {
    row: 'CVE-2019-5736',
    what: "change the runtime's program through /proc/self/exe",
    attack: ownRuntime,
    weakened: 'chroot',
  },
  {
    row: 'CVE-2019-14271',
    what: 'have a process of the host load what the environment of the step names',
    attack: environmentOfRuntime,
    weakened: environmentNaively,
  },
  {
    row: 'S-SB-9',
    what: 'write to hosts and resolv.conf',
    attack: { script: '(: >>/etc/hosts) || (: >>/etc/resolv.conf)' },
    weakened: 'mounts',
  },
];
