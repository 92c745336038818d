import { readlinkSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandOptions, CommandResult } from './cli.ts';
import { command } from './cli.ts';

const limit = '/proc/sys/user/max_user_namespaces';

/**
 * Runs a program as uid 65534 with no capability and no way to make a user namespace: less than any user of a CI runner
 * has. Needs root. It does so in a user namespace with all ids mapped to themselves, where the limit on further
 * namespaces is set to 0: the host's own limit is not touched.
 */
export function unprivileged(
  program: string,
  args: readonly string[],
  options: Omit<CommandOptions, 'input' | 'started'> = {},
): Promise<CommandResult> {
  const drop =
    '--reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs';
  // The first shell has lost its capabilities, for its id had no name yet; the second has those of root.
  const second = `echo 0 >${limit} && exec setpriv ${drop} "$@" </dev/null`;
  const first = 'read -r go && exec sh -c "$@"';
  return command('unshare', ['--user', 'sh', '-c', first, 'sh', second, 'sh', program, ...args], {
    ...options,
    input: 'go\n',
    started: mapAllIds,
  });
}

/** Waits until the process is in a user namespace of its own, and maps every id to itself there. */
async function mapAllIds(pid: number): Promise<void> {
  const own = readlinkSync('/proc/self/ns/user');
  while (readlinkSync(`/proc/${pid}/ns/user`) === own) await sleep(5);
  writeFileSync(`/proc/${pid}/uid_map`, '0 0 100000');
  writeFileSync(`/proc/${pid}/gid_map`, '0 0 100000');
}
