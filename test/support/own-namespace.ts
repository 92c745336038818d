import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Agent } from '../../src/host/agent/agent.ts';
import { becomes, ordersEndOnExec } from '../../src/host/agent/items.ts';
import * as sys from '../../src/host/container-constants.ts';
import type { CommandResult } from './cli.ts';
import { binary } from './paths.ts';

const registry = '/proc/sys/fs/binfmt_misc';

/**
 * Runs the built command as root of a user namespace with the host's ids, where binfmt_misc knows what is registered here and nothing else: of
 * the host nothing changes. Needs root and Linux 6.7.
 */
export async function tsbuildWithEmulators(
  registrations: readonly string[],
  args: readonly string[],
): Promise<CommandResult> {
  const agent = new Agent({ cwd: '/', stdio: ['ignore', 'pipe', 'pipe', 'pipe'], detached: false });
  const { child } = agent;
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout?.on('data', (data: Buffer) => out.push(data));
  child.stderr?.on('data', (data: Buffer) => err.push(data));
  const closed = once(child, 'close') as Promise<[number | null]>;
  try {
    await agent.execute([{ name: 'unshare', args: [sys.CLONE_NEWUSER], what: 'a user namespace' }]);
    for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${child.pid}/${map}`, '0 0 4294967294');
    await agent.execute([
      { name: 'unshare', args: [sys.CLONE_NEWNS], what: 'a mount namespace' },
      { name: 'mount', args: ['none', '/', null, sys.MS_REC | sys.MS_PRIVATE, null], what: 'private mounts' },
      { name: 'mount', args: ['binfmt_misc', registry, 'binfmt_misc', 0, null], what: 'binfmt_misc' },
    ]);
    for (const line of registrations) writeFileSync(`/proc/${child.pid}/root${registry}/register`, line);
    const env = Object.entries(process.env).map(([name, value]) => `${name}=${value ?? ''}`);
    const words = [process.execPath, binary, ...args];
    await agent.execute([ordersEndOnExec, becomes(process.execPath, words, env)]);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  const [code] = await closed;
  const stdoutBytes = Buffer.concat(out);
  const [stdout, stderr] = [stdoutBytes, Buffer.concat(err)].map(String) as [string, string];
  return { code: code ?? 137, stdout, stderr, stdoutBytes };
}
