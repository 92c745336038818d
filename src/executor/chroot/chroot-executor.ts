import { join } from 'node:path';
import { isAgent, PlanError } from '../../host/agent/agent.ts';
import { capabilitySet } from '../../host/probe.ts';
import type { Entry } from '../../image/entry.ts';
import type { Digest } from '../../oci/digest.ts';
import { BuildError } from '../../util/build-error.ts';
import type { CacheDirectories } from '../cache-mounts.ts';
import { takeCacheDirectories } from '../cache-mounts.ts';
import { allCapabilities } from '../capabilities.ts';
import { cacheRequests, environment } from '../execute.ts';
import type { ExecutionHost } from '../execute.ts';
import { requirePrograms } from '../foreign-programs.ts';
import type { StepProcess } from '../process-start.ts';
import { RootTree } from '../root-tree.ts';
import { runtimeSpec } from '../runtime-spec.ts';
import { SandboxProcess } from '../sandbox-process.ts';
import { startError } from '../start-error.ts';
import type { StepOp } from '../step.ts';
import { MountPointStubs } from '../stubs.ts';
import { resolveUser } from '../users.ts';
import { makeWorkingDirectory } from '../working-directory.ts';
import { chrootStart } from './chroot-start.ts';
import { endOrphans } from './orphans.ts';
import type { RootFilesystem } from './root-filesystems.ts';
import { RootFilesystems } from './root-filesystems.ts';
import type { ChrootRequest } from './stand-in-mounts.ts';
import { placeMounts } from './stand-in-mounts.ts';
import { changes, lookAt, untilLater } from './tree-changes.ts';

/** What a step without namespaces has left. In the end one of `keep` and `discard` is to be called. */
export interface ChrootResult {
  readonly exitCode: number;
  /** What it has changed; of a failed step nothing. Contents are read from its root filesystem. */
  readonly entries: readonly Entry[];
  /** The root filesystem is that of the layers below and this one. */
  keep(diffId: Digest): Promise<void>;
  /** Something else in the same place. */
  again(
    request: ChrootRequest,
    terminal: 'tty' | 'plain' | undefined,
  ): Promise<{ readonly exitCode: number }>;
  discard(): Promise<void>;
}

/**
 * Executes steps with nothing but chroot(2), inside a container whose root may neither mount nor make namespaces. They see the processes, the
 * network and the kernel of that container, and what they do there nobody holds back: only for Dockerfiles that are trusted.
 */
export interface ChrootExecutor extends AsyncDisposable {
  /** Throws SANDBOX_UNAVAILABLE, STEP_PLATFORM where no step can run. */
  check(platform: StepOp['platform']): Promise<void>;
  /** A cache can be in one place at a time: each is taken alone. */
  takeCaches(op: StepOp, signal: AbortSignal): Promise<CacheDirectories>;
  /** Executes one RUN, or with a terminal something else, on the caller's streams. Throws as `Executor.run`. */
  run(request: ChrootRequest, terminal?: 'tty' | 'plain'): Promise<ChrootResult>;
}

/** Capabilities without which files of images cannot be made, or a step cannot be started. */
const needed: readonly string[] = [
  ...['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'MKNOD', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID'],
  'SYS_CHROOT',
];

/** What this process lacks for steps without namespaces; undefined: nothing. */
export function chrootProblem(): string | undefined {
  if (process.getuid?.() !== 0) return 'it needs uid 0 of a container';
  const own = capabilitySet('CapEff');
  const lacking = needed.filter(
    (name) => (own & (1n << BigInt(allCapabilities.indexOf(`CAP_${name}`)))) === 0n,
  );
  return lacking.length === 0 ? undefined : `it needs ${lacking.map((name) => `CAP_${name}`).join(', ')}`;
}

export function createChrootExecutor(host: ExecutionHost): ChrootExecutor {
  const filesystems = new RootFilesystems(host.root);
  return {
    async check(platform) {
      const problem = chrootProblem();
      if (problem !== undefined)
        throw new BuildError('SANDBOX_UNAVAILABLE', `--isolation=chroot does not work here: ${problem}`, {
          hint: 'run `tsbuild doctor` to see what would',
        });
      await requirePrograms(platform, host);
    },
    takeCaches: (op, signal) => takeCacheDirectories(host.root, alone(op), signal),
    run: (request, terminal) => run(request, { host, filesystems, terminal }),
    [Symbol.asyncDispose]: () => filesystems[Symbol.asyncDispose](),
  };
}

function alone(op: StepOp): ReturnType<typeof cacheRequests> {
  return cacheRequests(op).map(({ id, sharing }) => ({
    id,
    sharing: sharing === 'private' ? sharing : ('locked' as const),
  }));
}

interface Place {
  readonly host: ExecutionHost;
  readonly filesystems: RootFilesystems;
  readonly terminal: 'tty' | 'plain' | undefined;
}

async function run(request: ChrootRequest, place: Place): Promise<ChrootResult> {
  const { op, signal } = request;
  const { host } = place;
  signal.throwIfAborted();
  await requirePrograms(op.platform, host);
  if (op.args.length === 0) throw new BuildError('STEP_START', 'the step has no command');
  checkNetwork(request, host);
  if (request.limits !== undefined) host.warnUnlimited('with --isolation=chroot they have no cgroup');
  const rootfs = await place.filesystems.take(request.layers, signal);
  try {
    return {
      ...(await inRootfs(request, { ...place, rootfs })),
      keep: (diffId) => rootfs.keep(diffId),
      again: (other, terminal) => inRootfs(other, { ...place, rootfs, terminal }),
      discard: () => rootfs.discard(),
    };
  } catch (error) {
    await rootfs.discard();
    throw signal.aborted ? signal.reason : error;
  }
}

interface InRootfs extends Place {
  readonly rootfs: RootFilesystem;
}

async function inRootfs(
  request: ChrootRequest,
  place: InRootfs,
): Promise<Pick<ChrootResult, 'exitCode' | 'entries'>> {
  const { op, signal, clampMtime } = request;
  const { directory, path } = place.rootfs;
  using own =
    request.caches === undefined ? await takeCacheDirectories(place.host.root, alone(op), signal) : undefined;
  const caches = own ?? request.caches;
  if (caches === undefined) throw new TypeError('a step without its cache mounts');
  await using mounts = await placeMounts(request, { directory, rootfs: path, caches });
  const { covered, made } = mounts.standIns;
  const before = await lookAt(path, covered);
  await untilLater(before, join(directory, 'clock'));
  const exitCode = await execute(request, { ...place, secretEnv: mounts.env });
  return { exitCode, entries: exitCode === 0 ? await changes(before, { ours: made, clampMtime }) : [] };
}

function checkNetwork({ op, isolated }: ChrootRequest, host: ExecutionHost): void {
  const reason = 'with --isolation=chroot there is no other';
  if (op.network === 'none' || (op.network === 'default' && isolated === true))
    throw new BuildError(
      'NETWORK_UNAVAILABLE',
      'with --isolation=chroot a step has the network of its container',
      {
        hint: 'leave --network=none and --network=isolated out, or start the container without a network',
      },
    );
  if (op.network === 'default') host.warnHostNetwork(reason);
}

interface WithEnv extends InRootfs {
  /** Secrets. */
  readonly secretEnv: readonly string[];
}

/** The process of the step, from its start until nothing of it is left. */
async function execute(request: ChrootRequest, place: WithEnv): Promise<number> {
  const { signal, op } = request;
  const { rootfs } = place;
  const step = stepProcess(request, place);
  const terminal = place.terminal === 'tty' ? (await import('../own-terminal.ts')).ownTerminal() : undefined;
  const sandbox = new SandboxProcess({
    directory: rootfs.directory,
    namespaces: 'none',
    stdio: terminal?.slave ?? (place.terminal === undefined ? 'capture' : 'inherit'),
    onOutput: request.onOutput,
    onEnd: () => endOrphans(isAgent),
  });
  terminal?.connect();
  const stop = (): void => void sandbox.kill();
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    await sandbox.ready();
    const exitCode = await sandbox.run(
      chrootStart(step, { rootfs: rootfs.path, ownStreams: place.terminal !== 'plain' }),
    );
    signal.throwIfAborted();
    return exitCode;
  } catch (error) {
    await sandbox.kill();
    throw error instanceof PlanError ? startError(error.message, op) : error;
  } finally {
    signal.removeEventListener('abort', stop);
    await terminal?.[Symbol.asyncDispose]();
  }
}

/** What config.json would say of the process. */
function stepProcess(request: ChrootRequest, { host, rootfs, secretEnv, terminal }: WithEnv): StepProcess {
  const { op, ulimits } = request;
  using tree = new RootTree(rootfs.path);
  const user = resolveUser(tree, op.user);
  const cwd = makeWorkingDirectory(tree, op.cwd, {
    ...{ user, mounts: [], stubs: new MountPointStubs() },
    view: (path) => path,
  });
  const { process: step } = runtimeSpec({
    ...{ rootfs: rootfs.path, args: op.args, cwd, user, ulimits },
    env: environment([...op.env, ...request.env, ...secretEnv], user),
    hostname: op.hostname,
    terminal: terminal === 'tty',
    security: op.security,
    network: 'host',
    mounts: [],
    cgroupsPath: undefined,
    host: { ...host, sysMounts: [] },
  });
  const lists = Object.entries(step.capabilities).map(([name, list]) => [name, list.filter(isGranted)]);
  return { ...step, capabilities: Object.fromEntries(lists) as StepProcess['capabilities'] };
}

/** chroot(2) is the way out of a chroot. */
function isGranted(capability: string): boolean {
  return capability !== 'CAP_SYS_CHROOT';
}
