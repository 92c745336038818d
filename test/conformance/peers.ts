import type { BenchOptions } from './bench.ts';
import { startBuildah } from './buildah.ts';
import type { Peer } from './docker.ts';
import { startDocker } from './docker.ts';
import { openJail } from './jail.ts';
import { peerRoot } from './peer-root.ts';

/** Starts the peers that can be had here, says which, and leaves their end to `stack`. */
export async function openPeers(
  stack: AsyncDisposableStack,
  folder: string,
  { release, say }: BenchOptions,
): Promise<Readonly<Record<'docker' | 'buildah', Peer | undefined>>> {
  const root = await peerRoot(release, (line) => say(`peers: ${line}`));
  if (root === undefined) {
    say('peers: none; the results that are stored are compared with');
    return { docker: undefined, buildah: undefined };
  }
  const jail = stack.use(await openJail(root.path, folder));
  const tried = (start: typeof startDocker): Promise<Peer | undefined> =>
    start(jail, folder).catch((error: unknown) => {
      say(`peers: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    });
  const docker = await tried(startDocker);
  const buildah = await tried(startBuildah);
  const names = [docker, buildah].map((peer) => peer?.name ?? 'one does not start');
  say(`peers: ${names.join(', ')}, from a root of ${root.release}`);
  return { docker, buildah };
}
