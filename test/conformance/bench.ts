import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { busyboxRootfs, debianRootfs, makeBase } from '../support/base-images.ts';
import { must, tsbuild } from '../support/cli.ts';
import { startHttpServer } from '../support/http-server.ts';
import { requireTool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';
import type { Case } from './case.ts';
import type { Base } from './describe.ts';
import { describeBase } from './describe.ts';
import type { Peer } from './docker.ts';
import { readArchive } from './docker.ts';
import { openPeers } from './peers.ts';

/** What all cases share. */
export interface Bench {
  readonly folder: string;
  /** tsbuild's store, with the base images in it. */
  readonly store: string;
  /** Where the contexts of the cases are made. */
  readonly contexts: string;
  /** A web server on loopback that gives what is in `contexts`, at `<case>/<path>`. */
  readonly url: string;
  readonly peers: Readonly<Record<'docker' | 'buildah', Peer | undefined>>;
  readonly bases: readonly Base[];
  /** The digest of the bases' busybox. */
  readonly busybox: string;
  /** Whether the peers' results are to be stored. */
  readonly update: boolean;
}

export interface BenchOptions {
  readonly say: (line: string) => void;
  readonly update: boolean;
  /** Of the peers; `none`: there shall be none. */
  readonly release?: string | undefined;
}

/** Starts what the cases need; `stack` ends it. */
export async function openBench(
  stack: AsyncDisposableStack,
  cases: readonly Case[],
  options: BenchOptions,
): Promise<Bench> {
  removeStale();
  const folder = realpathSync(stack.use(await tempFolder(`conformance-${process.pid}`)).path);
  const contexts = join(folder, 'contexts');
  const server = stack.use(
    await startHttpServer((request, response) => giveFile(contexts, request, response)),
  );
  const peers = await openPeers(stack, folder, options);
  const store = join(folder, 'store');
  const binary = readFileSync(requireTool('busybox'));
  const busybox = createHash('sha256').update(binary).digest('hex');
  const bases: Base[] = [];
  // Views stand on busybox.
  for (const base of new Set(['busybox' as const, ...cases.flatMap((item) => item.bases)])) {
    // Built by tsbuild and given to the peers, so that all start from the same layers and config.
    const name = `localhost/${base}`;
    await makeBase(store, name, base === 'busybox' ? busyboxRootfs() : debianRootfs());
    const archive = join(folder, `${base}.tar`);
    await must(tsbuild(['save', '--root', store, '--format', 'docker', '-o', archive, name]));
    for (const peer of Object.values(peers)) await peer?.load(archive);
    bases.push(describeBase(await readArchive(archive), busybox));
  }
  return {
    folder,
    store,
    contexts,
    url: `http://${server.host}`,
    peers,
    bases,
    busybox,
    update: options.update,
  };
}

/** Folders of runs that were killed with SIGKILL; nothing else of such a run is left. */
function removeStale(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = /^tsbuild-conformance-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function giveFile(folder: string, request: IncomingMessage, response: ServerResponse): void {
  const path = new URL(request.url ?? '', 'http://host').pathname;
  const file = join(folder, decodeURIComponent(path));
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isFile() !== true) response.writeHead(404).end();
  else response.setHeader('last-modified', found.mtime.toUTCString()).end(readFileSync(file));
}
