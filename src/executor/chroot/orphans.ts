import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

// Without a process namespace of its own a step may leave processes behind. Their parent becomes the nearest subreaper (prctl(2)): the agent of the
// step while that lives, then this process.

/** Ends all children of this process, and theirs, that it has not started itself (`own`). */
export async function endOrphans(own: (pid: number) => boolean): Promise<void> {
  for (;;) {
    const orphans = children().filter((pid) => !own(pid) && isAlive(pid));
    if (orphans.length === 0) return;
    for (const pid of orphans) kill(pid);
    // What they have started comes to this process with their death.
    await sleep(1);
  }
}

/** Ends processes of a dead build, by their root directory. Those of other users cannot be seen without CAP_SYS_PTRACE. */
export function endProcessesIn(directory: string): void {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readlinkSync(`/proc/${name}/root`).startsWith(`${directory}/`)) kill(Number(name));
    } catch {
      // It has ended, or belongs to somebody else.
    }
  }
}

function children(): number[] {
  return readdirSync('/proc/self/task').flatMap((thread) =>
    (readText(`/proc/self/task/${thread}/children`) ?? '')
      .split(' ')
      .filter((pid) => pid !== '')
      .map(Number),
  );
}

/** One that has ended stays as a child until its parent asks for its status. */
function isAlive(pid: number): boolean {
  const stat = readText(`/proc/${pid}/stat`);
  // The name in parentheses may hold anything.
  return stat !== undefined && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It was quicker.
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
