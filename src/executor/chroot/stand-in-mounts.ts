import { chmodSync, chownSync, lstatSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { applyEntries } from '../../image/apply.ts';
import { overlayDiff } from '../../image/diff.ts';
import type { StoredLayer } from '../../image/layer-store.ts';
import { readTar } from '../../image/tar.ts';
import { BuildError } from '../../util/build-error.ts';
import type { CacheDirectories } from '../cache-mounts.ts';
import { checkSystemDirectories, depth, isBelow } from '../mounts.ts';
import { hostGateway, hostResolvers, hostsFile, resolvConf } from '../network.ts';
import { RootTree } from '../root-tree.ts';
import { listenForAgent } from '../ssh-agent.ts';
import { agentSocketOf, secretOf, secretText } from '../step-secrets.ts';
import type { StepMount, StepRequest } from '../step.ts';
import { recordMoved } from './moved-caches.ts';
import { SecretFiles } from './secret-files.ts';
import { StandIns } from './stand-ins.ts';
import { placeSystem } from './system-stand-ins.ts';

/** Where the content of a mount is. */
export type ChrootSource =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'layers'; readonly layers: readonly StoredLayer[] };

/** One RUN to execute without namespaces; what is not said here is as in `StepRequest`. */
export type ChrootRequest = Omit<StepRequest, 'layers' | 'binds'> & {
  readonly layers: readonly StoredLayer[];
  readonly binds: ReadonlyMap<number, ChrootSource>;
  /** Later mtimes become this one, nanoseconds. */
  readonly clampMtime?: bigint | undefined;
};

export interface PlacedMounts extends AsyncDisposable {
  readonly standIns: StandIns;
  /** Secrets. */
  readonly env: readonly string[];
}

interface Owner {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

interface Placing {
  readonly target: string;
  readonly make: (place: string) => void;
  readonly take?: (place: string) => void;
  /** Of a cache. */
  readonly home?: string;
}

/**
 * Puts what stands in for the mounts of a step into its root filesystem: copies of what is bound, caches themselves, secrets as files. Disposing takes all
 * of it out again. Throws as `prepareMounts`.
 */
export async function placeMounts(
  request: ChrootRequest,
  place: { readonly directory: string; readonly rootfs: string; readonly caches: CacheDirectories },
): Promise<PlacedMounts> {
  const { directory, rootfs } = place;
  const standIns = new StandIns(rootfs, directory);
  const cleanup = new AsyncDisposableStack();
  const secrets = cleanup.use(new SecretFiles());
  cleanup.defer(() => standIns.remove());
  try {
    const { mounts, env } = await prepared(request, { ...place, cleanup, secrets });
    using tree = new RootTree(rootfs);
    checkSystemDirectories(tree);
    placeSystem(tree, standIns);
    if (request.certificates !== undefined) {
      const { stepCertificates } = await import('../certificates.ts');
      const trusted = await stepCertificates(tree, request.certificates, [...request.op.env, ...request.env]);
      mounts.push(...trusted.files.map(({ target, content }) => file(target, content, 0o644)));
      env.push(...trusted.env);
    }
    const caches = mounts.flatMap(({ target, home }) =>
      home === undefined ? [] : [{ place: tree.resolve(target).path, home }],
    );
    recordMoved(directory, caches);
    // Parents first, so that a mount never hides another.
    for (const mount of mounts.toSorted((a, b) => depth(a.target) - depth(b.target))) {
      if (
        ['/proc', '/sys'].some((path) => isBelow(mount.target, path)) ||
        ['/dev', '/'].includes(mount.target)
      )
        throw new BuildError('STEP_START', `nothing can be mounted at ${mount.target}`);
      standIns.place(tree, mount.target, mount);
    }
    await secrets.fill();
    const disposers = cleanup.move();
    return { standIns, env, [Symbol.asyncDispose]: () => disposers.disposeAsync() };
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

async function prepared(
  request: ChrootRequest,
  place: {
    readonly directory: string;
    readonly caches: CacheDirectories;
    readonly cleanup: AsyncDisposableStack;
    readonly secrets: SecretFiles;
  },
): Promise<{ readonly mounts: Placing[]; readonly env: string[] }> {
  const { op } = request;
  const { directory, caches, cleanup, secrets } = place;
  const env: string[] = [];
  const mounts: Placing[] = [
    file('/etc/resolv.conf', resolvConf('host', hostResolvers()), 0o644),
    file(
      '/etc/hosts',
      hostsFile(op.hostname, request.extraHosts, () => hostGateway('host')),
      0o644,
    ),
    ...op.files.map(({ path, content, mode }) => file(path, content, mode)),
  ];
  for (const [index, mount] of op.mounts.entries()) {
    const source = request.binds.get(index);
    const copy = join(directory, `m${index}`);
    switch (mount.type) {
      case 'bind': {
        const from = await sourceOf(source, mount.source, { copy, mount, signal: request.signal });
        mounts.push({ target: mount.target, make: (to) => renameSync(from, to) });
        break;
      }
      case 'cache': {
        const cache = caches.get(mount.id);
        if (cache.staging !== undefined) {
          if (source !== undefined) await seed(source, { mount, copy, to: cache.staging, request });
          cache.commit(mount);
        }
        const move = (from: string, to: string): void => renameSync(from, to);
        mounts.push({
          target: mount.target,
          home: cache.path,
          make: (to) => move(cache.path, to),
          take: (from) => move(from, cache.path),
        });
        break;
      }
      case 'tmpfs':
        mounts.push({
          target: mount.target,
          make: (to) => makeDirectory(to, { mode: 0o1777, uid: 0, gid: 0 }),
        });
        break;
      case 'secret': {
        const value = await secretOf(request, mount);
        if (value === undefined) break;
        if (mount.env !== undefined) env.push(`${mount.env}=${secretText(mount.id, value)}`);
        if (mount.target !== undefined)
          mounts.push({ target: mount.target, make: (to) => secrets.make(to, value, mount) });
        break;
      }
      case 'ssh': {
        const socket = agentSocketOf(request, mount);
        if (socket === undefined) break;
        const agent = await listenForAgent(join(directory, `agent${index}`), socket, mount);
        cleanup.use(agent);
        mounts.push({ target: mount.target, make: (to) => renameSync(agent.path, to) });
        break;
      }
    }
  }
  return { mounts, env };
}

function file(target: string, content: string, mode: number): Placing {
  return {
    target,
    make: (place) => {
      writeFileSync(place, content, { flag: 'wx', mode: 0o600 });
      give(place, { uid: 0, gid: 0, mode });
    },
  };
}

function makeDirectory(place: string, owner: Owner): void {
  mkdirSync(place, { mode: 0o700 });
  give(place, owner);
}

function give(place: string, { mode, uid, gid }: Owner): void {
  chownSync(place, uid, gid);
  chmodSync(place, mode);
}

/** A copy of what a bind mount shows, which the step may change as it likes: it is thrown away. */
async function sourceOf(
  source: ChrootSource | undefined,
  path: string,
  about: { readonly copy: string; readonly mount: StepMount; readonly signal: AbortSignal },
): Promise<string> {
  const { copy, signal } = about;
  mkdirSync(copy, { mode: 0o700 });
  const whole = join(copy, 'whole');
  mkdirSync(whole);
  chmodSync(whole, 0o755);
  if (source?.kind === 'directory') {
    await applyEntries(overlayDiff(source.path), whole, { form: 'plain', owners: 'keep', signal });
  }
  if (source?.kind === 'layers') {
    for (const layer of source.layers) {
      const entries = readTar(layer.uncompressed({ signal }), { whiteouts: true });
      await applyEntries(entries, whole, { form: 'plain', owners: 'keep', signal });
    }
  }
  using tree = new RootTree(whole);
  const found = tree.resolve(path);
  const target = 'target' in about.mount ? about.mount.target : '';
  if (found.type === 'missing')
    throw new BuildError(
      'STEP_START',
      `/${path.replace(/^\/+/, '')} cannot be mounted at ${target}: it does not exist`,
      {
        hint: 'the source of a mount is a path in the build context, or in what `from` names',
      },
    );
  return join(whole, found.path);
}

/** The initial content of a cache. */
async function seed(
  source: ChrootSource,
  about: {
    readonly mount: Extract<StepMount, { type: 'cache' }>;
    readonly copy: string;
    readonly to: string;
    readonly request: ChrootRequest;
  },
): Promise<void> {
  const { mount, copy, to, request } = about;
  const { signal } = request;
  const from = await sourceOf(source, mount.source, { copy, mount, signal });
  if (!lstatSync(from).isDirectory())
    throw new BuildError('STEP_START', `${mount.source} cannot fill a cache mount: it is no directory`);
  await applyEntries(overlayDiff(from), to, { form: 'plain', owners: 'keep', signal });
}
