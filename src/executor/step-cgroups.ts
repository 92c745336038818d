import { readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cgroupHierarchies, ownCgroups } from '../host/probe.ts';
import { STEP } from './limited-cgroup.ts';

// Runtimes make a cgroup for each container below that of their caller (v1), at the top of the hierarchy (v1, crun) or beside it (v2), and
// remove it unless they are killed. Where the caller's cgroups were is written into the step's directory, so that another process can clean up.

/** Writes down where the cgroups of a step will be. */
export function recordCgroups(directory: string): void {
  const places = new Set(cgroupHierarchies().flatMap(({ mount, own }) => [own, mount]));
  writeFileSync(join(directory, 'cgroups'), [...places].join('\n'), { mode: 0o600 });
}

/**
 * How many processes the kernel has killed for want of memory in the cgroups in which steps run: this process's own, and with cgroup v2 also
 * what is beside it.
 */
export function oomKills(): number {
  const places = [...new Set(ownCgroups().flatMap((own) => [own, dirname(own)]))];
  let kills = 0;
  for (const place of places) {
    for (const name of ['memory.events', 'memory.oom_control']) {
      const count = /^oom_kill (\d+)$/m.exec(readText(join(place, name)))?.[1];
      kills += Number(count ?? 0);
    }
  }
  return kills;
}

/** Removes a step's cgroups, where they are empty. Never throws: an empty cgroup that stays costs nothing. */
export async function removeCgroups(directory: string, name: string): Promise<void> {
  for (const own of recorded(directory)) {
    for (const cgroup of [join(own, name), join(dirname(own), name)]) {
      await remove(join(cgroup, STEP));
      await remove(cgroup);
    }
  }
}

async function remove(cgroup: string): Promise<void> {
  // A process that was killed leaves its cgroup a moment after its end.
  for (let tries = 0; tries < 5; tries += 1) {
    try {
      rmdirSync(cgroup);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') return;
      await sleep(10);
    }
  }
}

function recorded(directory: string): string[] {
  return readText(join(directory, 'cgroups'))
    .split('\n')
    .filter((path) => path.startsWith('/'));
}

/** '' where there is none. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
