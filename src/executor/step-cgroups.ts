import { readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ownCgroups } from '../host/probe.ts';

// Runtimes make a cgroup for each container below that of their caller (v1) or beside it (v2), and remove it unless they are
// killed. Where the caller's cgroups were is written into the step's directory, so that another process can clean up.

/** Writes down where the cgroups of a step will be. */
export function recordCgroups(directory: string): void {
  writeFileSync(join(directory, 'cgroups'), ownCgroups().join('\n'), { mode: 0o600 });
}

/** Removes a step's cgroups, where they are empty. Never throws: an empty cgroup that stays costs nothing. */
export async function removeCgroups(directory: string, name: string): Promise<void> {
  for (const own of recorded(directory)) {
    for (const cgroup of [join(own, name), join(dirname(own), name)]) await remove(cgroup);
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
  try {
    return readFileSync(join(directory, 'cgroups'), 'utf8')
      .split('\n')
      .filter((path) => path.startsWith('/'));
  } catch {
    return [];
  }
}
