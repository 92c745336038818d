import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { kernelVersion } from '../host/probe.ts';
import { applyEntries } from '../image/apply.ts';
import { overlayDiff } from '../image/diff.ts';
import { BuildError } from '../util/build-error.ts';
import type { CacheDirectories } from './cache-mounts.ts';
import type { StepNetwork } from './network.ts';
import { hostGateway, hostResolvers, hostsFile, resolvConf } from './network.ts';
import { RootTree } from './root-tree.ts';
import type { SpecMount } from './runtime-spec.ts';
import type { SandboxProcess } from './sandbox-process.ts';
import { MemoryFiles } from './memory-files.ts';
import { layOutOverlay } from './snapshot.ts';
import { listenForAgent } from './ssh-agent.ts';
import type { MountSource, StepMount, StepRequest } from './step.ts';
import { agentSocketOf, secretOf, secretText } from './step-secrets.ts';
import { MountPointStubs } from './stubs.ts';

/** apt downloads as a user of its own, and looks whether it has become that user: where there is a single id it cannot. */
const aptSettings = {
  path: '/etc/apt/apt.conf.d/zz-tsbuild',
  content: 'APT::Sandbox::User "root";\n',
} as const;
/** Directories that the runtime mounts; an image in which one of them is a link is refused (S-P-7). */
const systemDirectories: readonly string[] = ['/proc', '/dev', '/sys', '/etc'];
/** mount_setattr(2) */
const RECURSIVE_READONLY = 5012;
/** Of files that tsbuild itself puts into a step. */
const readonlyFile: readonly string[] = ['bind', 'ro', 'nosuid', 'nodev', 'noexec'];
/** Below these the runtime makes mount points itself: they are new filesystems in the container. */
const runtimeDirectories: readonly string[] = ['/dev', '/proc', '/sys'];

export interface MountPlan extends AsyncDisposable {
  /** For config.json, parents before children. */
  readonly mounts: readonly SpecMount[];
  /** Secrets. */
  readonly env: readonly string[];
  /** Where to keep a file that holds `env`: there are secrets in it. undefined: there are none, any place will do. */
  readonly memory: MemoryFiles | undefined;
  readonly stubs: MountPointStubs;
}

export interface MountContext {
  readonly request: StepRequest;
  readonly sandbox: SandboxProcess;
  /** The step's directory in the store. */
  readonly directory: string;
  /** The root filesystem, mounted. */
  readonly tree: RootTree;
  readonly caches: CacheDirectories;
  readonly network: StepNetwork;
  /** The step has a single id. */
  readonly single: boolean;
  /** Directories and files of the host that the user asked for (`tsbuild run -v`). */
  readonly volumes?: readonly HostVolume[] | undefined;
}

/** A path of the host, seen in a container. */
export interface HostVolume {
  readonly source: string;
  readonly target: string;
  readonly readonly: boolean;
}

/** A mount whose source exists. */
interface Ready {
  readonly source: string;
  readonly target: string;
  readonly file: boolean;
  readonly options: readonly string[];
  readonly type?: 'tmpfs';
}

/**
 * Makes the sources of all mounts of a step ready and their mount points in the root filesystem. Throws STEP_START for a root
 * filesystem that is not safe or a source that is missing, SECRET_MISSING, USER_UNKNOWN. Nothing secret touches a disk.
 */
export async function prepareMounts(context: MountContext): Promise<MountPlan> {
  const { request, directory, tree } = context;
  const { op } = request;
  const cleanup = new AsyncDisposableStack();
  try {
    checkSystemDirectories(tree);
    const env: string[] = [];
    const ready: Ready[] = [];
    const file = (
      name: string,
      target: string,
      text: { content: string; mode: number; script?: true },
    ): void => {
      const source = join(directory, name);
      writeFileSync(source, text.content, { flag: 'wx' });
      chmodSync(source, text.mode);
      const options =
        text.script === true ? readonlyFile.filter((option) => option !== 'noexec') : readonlyFile;
      ready.push({ source, target, file: true, options });
    };
    file('resolv.conf', '/etc/resolv.conf', {
      content: resolvConf(context.network, hostResolvers()),
      mode: 0o644,
    });
    file('hosts', '/etc/hosts', {
      content: hostsFile(op.hostname, request.extraHosts, () => hostGateway(context.network)),
      mode: 0o644,
    });
    if (context.single && tree.plainDirectory(posix.dirname(aptSettings.path)) === true)
      file('apt.conf', aptSettings.path, { content: aptSettings.content, mode: 0o644 });
    op.files.forEach(({ path, content, mode }, index) =>
      file(`file${index}`, path, { content, mode, script: true }),
    );
    if (request.certificates !== undefined) {
      const { stepCertificates } = await import('./certificates.ts');
      const trusted = await stepCertificates(tree, request.certificates, [...op.env, ...request.env]);
      trusted.files.forEach(({ target, content }, index) =>
        file(`ca${index}`, target, { content, mode: 0o644 }),
      );
      env.push(...trusted.env);
    }
    for (const volume of context.volumes ?? []) ready.push(hostVolume(volume));
    let agents = 0;
    const memory = new MemoryFiles(context);
    let secretEnv = false;
    for (const [index, mount] of op.mounts.entries()) {
      switch (mount.type) {
        case 'bind':
          ready.push(await bind(context, index, mount));
          break;
        case 'cache':
          ready.push(await cache(context, index, mount));
          break;
        case 'tmpfs':
          ready.push({
            source: 'tmpfs',
            target: mount.target,
            file: false,
            type: 'tmpfs',
            options: [
              ...['nosuid', mount.readonly === true ? 'ro' : 'rw'],
              ...(mount.size === undefined ? [] : [`size=${mount.size}`]),
            ],
          });
          break;
        case 'secret': {
          const value = await secretOf(request, mount);
          if (value === undefined) break;
          if (mount.env !== undefined) {
            env.push(`${mount.env}=${secretText(mount.id, value)}`);
            secretEnv = true;
          }
          if (mount.target === undefined) break;
          const source = await memory.write(value, mount);
          ready.push({
            source,
            target: mount.target,
            file: true,
            options: readonlyFile,
          });
          break;
        }
        case 'ssh': {
          const socket = agentSocketOf(request, mount);
          if (socket === undefined) break;
          const agent = await listenForAgent(join(directory, `agent${agents}`), socket, mount);
          cleanup.use(agent);
          agents += 1;
          ready.push({
            source: agent.path,
            target: mount.target,
            file: true,
            options: ['bind', 'nosuid', 'nodev'],
          });
          break;
        }
      }
    }
    const stubs = new MountPointStubs();
    for (const path of ['/proc', '/dev', '/sys']) makeMountPoint(tree, stubs, { target: path, file: false });
    // Parents first, so that a mount never hides another.
    const ordered = ready.toSorted((a, b) => depth(a.target) - depth(b.target));
    const covered: string[] = [...runtimeDirectories];
    const mounts: SpecMount[] = [];
    for (const mount of ordered) {
      if (isBelow(mount.target, '/proc') || ['/dev', '/sys', '/'].includes(mount.target))
        throw new BuildError('STEP_START', `nothing can be mounted at ${mount.target}`);
      const isCovered = (place: string): boolean => covered.some((path) => isBelow(place, path));
      const destination = isCovered(mount.target)
        ? mount.target
        : makeMountPoint(tree, stubs, mount, isCovered);
      const nested = isCovered(destination);
      covered.push(mount.target, destination);
      const { type = 'bind', source, options } = mount;
      // A tmpfs takes the mode of the directory that it covers; runtimes differ in this unless they are told.
      const mode = type === 'bind' ? [] : [`mode=${nested ? '1777' : tree.mode(destination).toString(8)}`];
      mounts.push({ destination, type, source, options: [...options, ...mode] });
    }
    const disposers = cleanup.move();
    return {
      ...{ mounts, env, stubs, memory: secretEnv ? memory : undefined },
      [Symbol.asyncDispose]: () => disposers.disposeAsync(),
    };
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

/** S-P-7: the runtime must meet directories where it mounts. */
export function checkSystemDirectories(tree: RootTree): void {
  for (const path of systemDirectories) {
    if (tree.plainDirectory(path) === false)
      throw new BuildError('STEP_START', `${path} of the root filesystem is not a directory`, {
        hint: 'an image in which this is a link or a file is refused: the sandbox could be left through it',
      });
  }
}

/** Makes it unless links lead to a place on another mount, where the runtime makes it. */
function makeMountPoint(
  tree: RootTree,
  stubs: MountPointStubs,
  mount: { readonly target: string; readonly file: boolean; readonly type?: 'tmpfs' },
  isCovered: (path: string) => boolean = () => false,
): string {
  const place = tree.resolve(mount.target);
  if (
    place.path === '/' ||
    runtimeDirectories.some((path) => isBelow(place.path, path) && mount.target !== path)
  )
    throw new BuildError(
      'STEP_START',
      `nothing can be mounted at ${mount.target}: it leads to ${place.path}`,
    );
  if (isCovered(place.path)) return place.path;
  if (place.type === 'missing') {
    const parent = posix.resolve(place.path, ...place.missing.map(() => '..'));
    stubs.make(tree, parent, {
      parts: place.missing,
      file: mount.file,
      mode: mount.type === 'tmpfs' ? 0o1777 : 0o755,
    });
  } else if ((place.type === 'file') !== mount.file) {
    throw new BuildError(
      'STEP_START',
      `nothing can be mounted at ${mount.target}: it is a ${place.type}, what is mounted is a ${mount.file ? 'file' : 'directory'}`,
    );
  }
  return place.path;
}

async function bind(
  context: MountContext,
  index: number,
  mount: Extract<StepMount, { type: 'bind' }>,
): Promise<Ready> {
  const source = context.request.binds.get(index);
  const prefix = `m${index}/`;
  const base = join(context.directory, `m${index}`);
  mkdirSync(base, { mode: 0o700 });
  let root: string;
  if (source !== undefined && source.kind === 'directory' && mount.readonly) root = source.path;
  else {
    // Writes go to a directory that is thrown away: the source never changes.
    const lower = lowerOf(source);
    const options = layOutOverlay(base, prefix, { lower, writable: !mount.readonly });
    await context.sandbox.overlay(options, `${prefix}merged`);
    root = join(base, 'merged');
  }
  const found = locate(context.sandbox.view(root), mount.source, mount.target);
  return {
    source: posix.join(root, found.path),
    target: mount.target,
    file: found.file,
    options: ['bind', mount.readonly ? 'ro' : 'rw'],
  };
}

function hostVolume(volume: HostVolume): Ready {
  const stat = statSync(volume.source, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new BuildError('STEP_START', `the volume ${volume.source} does not exist`, {
      hint: 'make the directory or file first; nothing is made on the host',
    });
  return {
    source: volume.source,
    target: volume.target,
    file: !stat.isDirectory(),
    options: volume.readonly ? readonlyVolume() : ['rbind', 'rw'],
  };
}

/** What is mounted below is read-only too, or not there where the kernel has no such thing. */
function readonlyVolume(): readonly string[] {
  return kernelVersion() >= RECURSIVE_READONLY ? ['rbind', 'ro', 'rro'] : ['bind', 'ro'];
}

async function cache(
  context: MountContext,
  index: number,
  mount: Extract<StepMount, { type: 'cache' }>,
): Promise<Ready> {
  const directory = context.caches.get(mount.id);
  if (directory.staging !== undefined) {
    const source = context.request.binds.get(index);
    if (source !== undefined)
      await seed(context, index, { from: source, path: mount.source, to: directory.staging });
    directory.commit(mount);
  }
  return {
    source: directory.path,
    target: mount.target,
    file: false,
    options: ['bind', mount.readonly ? 'ro' : 'rw'],
  };
}

/** Copies the initial content of a cache mount. */
async function seed(
  context: MountContext,
  index: number,
  content: { readonly from: MountSource; readonly path: string; readonly to: string },
): Promise<void> {
  const base = join(context.directory, `m${index}`);
  mkdirSync(base, { mode: 0o700 });
  const options = layOutOverlay(base, `m${index}/`, { lower: lowerOf(content.from), writable: false });
  await context.sandbox.overlay(options, `m${index}/merged`);
  const root = join(base, 'merged');
  const found = locate(context.sandbox.view(root), content.path, 'a cache mount');
  if (found.file)
    throw new BuildError('STEP_START', `${content.path} cannot fill a cache mount: it is no directory`);
  // What overlayfs shows has no whiteouts: it is read like a directory of new files.
  const entries = overlayDiff(context.sandbox.view(posix.join(root, found.path)));
  await applyEntries(entries, content.to, { form: 'plain', owners: 'keep', signal: context.request.signal });
}

function lowerOf(source: MountSource | undefined): readonly string[] {
  if (source === undefined) return [];
  return source.kind === 'directory' ? [source.path] : source.directories;
}

/** The `source` of a mount inside its root (CVE-2024-1753). */
function locate(
  root: string,
  source: string,
  target: string,
): { readonly path: string; readonly file: boolean } {
  using tree = new RootTree(root);
  const place = tree.resolve(source);
  const shown = posix.join('/', source);
  if (place.type === 'missing')
    throw new BuildError('STEP_START', `${shown} cannot be mounted at ${target}: it does not exist`, {
      hint: 'the source of a mount is a path in the build context, or in what `from` names',
    });
  return { path: place.path, file: place.type === 'file' };
}

export function depth(path: string): number {
  return path.split('/').filter((part) => part !== '').length;
}

/** Is `path` the directory `parent`, or below it? */
export function isBelow(path: string, parent: string): boolean {
  return path === parent || path.startsWith(parent === '/' ? '/' : `${parent}/`);
}
