import type { ChildProcess } from 'node:child_process';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { promisify } from 'node:util';
import { Agent } from './agent/agent.ts';
import { becomes, deathTie, keepsOrphans, ordersEndOnExec } from './agent/items.ts';
import { CLONE_NEWUSER } from './container-constants.ts';
import type { IdRange } from './probe.ts';
import { findProgram, subordinateIds } from './probe.ts';

// User namespaces: a process that is root inside, and an ordinary user outside (user_namespaces(7)). Node has many threads and cannot
// enter one itself, so a new process does.

/** Which ids a user namespace has. Inside, 0 is the user who makes it; from 1 on the ranges follow each other. */
export interface IdMap {
  /** `subordinate`: with ranges of /etc/subuid and /etc/subgid, by newuidmap(1). `single`: nobody but the user. */
  readonly kind: 'subordinate' | 'single';
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}

/** Docker's images use ids up to 65535; with fewer of them unpacking would fail in the middle. */
const NEEDED = 65_535;

/** The best map that this user can have, and why it is not `subordinate` where it is not. */
export function bestIdMap(path: string): { readonly map: IdMap; readonly lacks: string | undefined } {
  const user = currentUser();
  const uids = subordinateIds('/etc/subuid', user);
  const gids = subordinateIds('/etc/subgid', user);
  const absent = ['newuidmap', 'newgidmap'].filter((name) => findProgram(name, path) === undefined);
  const lacks =
    absent.length > 0
      ? `${absent.join(' and ')} not installed`
      : total(uids) < NEEDED || total(gids) < NEEDED
        ? `fewer than ${NEEDED + 1} ids for ${user.name} in /etc/subuid and /etc/subgid`
        : undefined;
  const map: IdMap =
    lacks === undefined ? { kind: 'subordinate', uids, gids } : { kind: 'single', uids: [], gids: [] };
  return { map, lacks };
}

/** A user that passwd does not know has a number alone. */
export function currentUser(): { readonly name: string; readonly uid: number; readonly gid: number } {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  try {
    return { name: userInfo().username, uid, gid };
  } catch {
    return { name: String(uid), uid, gid };
  }
}

function total(ranges: readonly IdRange[]): number {
  return ranges.reduce((sum, { count }) => sum + count, 0);
}

/** Words of newuidmap(1): inside, outside, count. */
function mapWords(own: number, ranges: readonly IdRange[]): string[] {
  const words = [0, own, 1];
  let inside = 1;
  for (const { first, count } of ranges) {
    words.push(inside, first, count);
    inside += count;
  }
  return words.map(String);
}

interface Spawning {
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Starts a program as root of a new user namespace, with a channel of messages (`child.send`) and this process's standard streams. The
 * kernel kills it when this process ends. Throws an Error that says what the kernel or newuidmap refused.
 */
export function spawnInUserNamespace(
  command: readonly [program: string, ...args: string[]],
  options: Spawning & {
    readonly map: IdMap;
    /** For helper programs. */
    readonly path: string;
  },
): Promise<ChildProcess> {
  return spawnPrepared(command, options, async (agent) => {
    await agent.execute([deathTie]);
    await agent
      .execute([{ name: 'unshare', args: [CLONE_NEWUSER], what: 'making a user namespace' }])
      .catch((error: unknown) => {
        throw new Error(`${(error as Error).message}: ${whyRefused()}`, { cause: error });
      });
    await mapIds(agent.child.pid ?? -1, options);
  });
}

/**
 * Starts a program that becomes the parent of all processes below it which lose theirs (prctl(2), PR_SET_CHILD_SUBREAPER), with channel and streams as
 * above. It outlives this process: it has to end what it has started, and itself, when its channel closes.
 */
export function spawnSubreaper(
  command: readonly [program: string, ...args: string[]],
  options: Spawning,
): Promise<ChildProcess> {
  return spawnPrepared(command, options, async (agent) => {
    await agent.execute([keepsOrphans]);
  });
}

async function spawnPrepared(
  command: readonly [program: string, ...args: string[]],
  options: Spawning,
  prepare: (agent: Agent) => Promise<void>,
): Promise<ChildProcess> {
  const agent = new Agent({
    cwd: '/',
    stdio: ['inherit', 'inherit', 'inherit', 'pipe', 'ipc'],
    detached: false,
    serialization: 'advanced',
  });
  try {
    await prepare(agent);
    // As Node tells a child of its channel.
    const env = { ...options.env, NODE_CHANNEL_FD: '4', NODE_CHANNEL_SERIALIZATION_MODE: 'advanced' };
    const words = Object.entries(env).map(([name, value]) => `${name}=${value ?? ''}`);
    await agent.execute([ordersEndOnExec, becomes(command[0], command, words)]);
    return agent.child;
  } catch (error) {
    agent.child.kill('SIGKILL');
    throw error;
  }
}

/** What speaks against user namespaces here, as far as the kernel shows it. */
function whyRefused(): string {
  const switches: readonly (readonly [path: string, bad: string])[] = [
    ['/proc/sys/user/max_user_namespaces', '0'],
    ['/proc/sys/kernel/unprivileged_userns_clone', '0'],
    ['/proc/sys/kernel/apparmor_restrict_unprivileged_userns', '1'],
  ];
  for (const [path, bad] of switches) {
    try {
      if (readFileSync(path, 'utf8').trim() === bad) return `${path} is ${bad}`;
    } catch {
      // This kernel has no such switch.
    }
  }
  return 'user namespaces are not allowed here';
}

async function mapIds(
  pid: number,
  { map, path }: { readonly map: IdMap; readonly path: string },
): Promise<void> {
  const { uid, gid } = currentUser();
  if (map.kind === 'single') {
    // user_namespaces(7): without rights in the parent, groups can be mapped only once setgroups(2) is given up.
    writeFileSync(`/proc/${pid}/setgroups`, 'deny');
    writeFileSync(`/proc/${pid}/uid_map`, `0 ${uid} 1`);
    writeFileSync(`/proc/${pid}/gid_map`, `0 ${gid} 1`);
    return;
  }
  const run = promisify(execFile);
  const options = { env: { PATH: path, LC_ALL: 'C' }, timeout: 10_000 };
  await run('newuidmap', [String(pid), ...mapWords(uid, map.uids)], options);
  await run('newgidmap', [String(pid), ...mapWords(gid, map.gids)], options);
}
