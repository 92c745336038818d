import { spawnSync } from 'node:child_process';
import { findTool } from '../support/require.ts';
import { startBuildah } from './buildah.ts';
import type { Peer } from './docker.ts';
import { startDocker } from './docker.ts';
import { openJail } from './jail.ts';
import { peerRoot } from './peer-root.ts';

/** Starts the peers that can be had here, says which, and leaves their end to `stack`. */
export async function openPeers(
  stack: AsyncDisposableStack,
  folder: string,
  say: (line: string) => void,
): Promise<Readonly<Record<'docker' | 'buildah', Peer | undefined>>> {
  const root = await peerRoot((line) => say(`peers: ${line}`));
  if (root === undefined) installHere();
  const where = root === undefined ? "this host's packages" : `a root of Debian ${root.release}`;
  const jail = stack.use(await openJail(root?.path ?? '/', folder));
  const tried = async (name: string, start: () => Promise<Peer>): Promise<Peer | undefined> => {
    if (root === undefined && findTool(name) === undefined) return undefined;
    return start().catch((error: unknown) => {
      say(`peers: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    });
  };
  const docker = await tried('dockerd', () => startDocker(jail, folder));
  const buildah = await tried('buildah', () => startBuildah(jail, folder));
  const names = [docker, buildah].filter((peer) => peer !== undefined).map((peer) => peer.name);
  say(
    names.length === 0
      ? 'peers: none; stored results are compared with'
      : `peers: ${names.join(', ')} from ${where}`,
  );
  return { docker, buildah };
}

/** apt-get unpacks a daemon's packages without starting them only where nothing may start: policy-rc.d says so. */
function installHere(): void {
  const wanted = [
    ['dockerd', 'docker.io'],
    ['buildah', 'buildah'],
  ].filter(([name]) => findTool(name ?? '') === undefined);
  if (wanted.length === 0 || findTool('apt-get') === undefined) return;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const args = ['install', '-y', '-qq', '--no-install-recommends', ...wanted.map(([, name]) => name ?? '')];
  spawnSync('apt-get', args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
}
