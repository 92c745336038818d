import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PlanError } from '../host/agent/agent.ts';
import { CLONE_NEWNET } from '../host/container-constants.ts';
import { mountsBelow } from '../host/probe.ts';
import { BuildError } from '../util/build-error.ts';
import { exhaustion } from '../util/system-error.ts';
import type { CacheDirectories, CacheRequest } from './cache-mounts.ts';
import { takeCacheDirectories } from './cache-mounts.ts';
import type { LimitedCgroup } from './limited-cgroup.ts';
import { limitedCgroup, LimitsRefused } from './limited-cgroup.ts';
import { oomKills, recordCgroups, removeCgroups } from './step-cgroups.ts';
import { requireInterpreter, requirePrograms } from './foreign-programs.ts';
import { insecureDevices } from './host-devices.ts';
import type { HostVolume, MountPlan } from './mounts.ts';
import { isBelow, prepareMounts } from './mounts.ts';
import type { NetworkHelper, NetworkProgram } from './network-helper.ts';
import { startHelper } from './network-helper.ts';
import { RootTree } from './root-tree.ts';
import type { OwnTerminal } from './own-terminal.ts';
import type { BundlePlace, Runtime } from './runtime.ts';
import type { RuntimeSpec } from './runtime-spec.ts';
import { runtimeSpec } from './runtime-spec.ts';
import { SandboxProcess } from './sandbox-process.ts';
import type { SeccompArch } from './seccomp.ts';
import { layOutOverlay, makeSnapshot } from './snapshot.ts';
import { runtimeError, startError } from './start-error.ts';
import type { StepOp, StepRequest, StepResult } from './step.ts';
import type { OwnerOf } from './step-owners.ts';
import { StepOwners } from './step-owners.ts';
import type { MountPointStubs } from './stubs.ts';
import type { StepUser } from './users.ts';
import { resolveUser } from './users.ts';
import { makeWorkingDirectory } from './working-directory.ts';

/** Status of a process that SIGKILL ended, also as a shell passes it on. */
const SIGKILLED = 137;

/** What is known of this host, once for all steps. */
export interface ExecutionHost {
  readonly root: string;
  /** PATH for helper programs. */
  readonly path: string;
  readonly arch: SeccompArch | undefined;
  readonly cgroupV2: boolean;
  /** The ids of the user namespace that this process is in; undefined: it is in none, or in one that has all. */
  readonly ids: 'many' | 'single' | undefined;
  /** Is the user namespace of this process there for its steps alone? */
  readonly ownNamespace: boolean;
  /** Bounding set of this process. */
  readonly capabilities: bigint;
  /** What may give steps an isolated network, best first; what has failed is taken out. */
  readonly networkPrograms: NetworkProgram[];
  /** Tells the user, once, that steps share the host's network. */
  warnHostNetwork(reason: string): void;
  /** Tells the user, once, that steps run without the limits that were asked for. */
  warnUnlimited(reason: string): void;
}

export interface Execution {
  readonly host: ExecutionHost;
  readonly runtime: Runtime;
  readonly volumes?: readonly HostVolume[] | undefined;
  /** Connects the caller's standard streams, with a terminal of its own or as they are; undefined: output is captured. */
  readonly terminal?: 'tty' | 'plain' | undefined;
}

/** Executes one step from its request to its upper directory; the contract is that of `Executor.run`. */
export async function execute(request: StepRequest, execution: Execution): Promise<StepResult> {
  const { signal, op } = request;
  const { host } = execution;
  signal.throwIfAborted();
  await requirePrograms(op.platform, host);
  if (op.args.length === 0) throw new BuildError('STEP_START', 'the step has no command');
  using own =
    request.caches === undefined
      ? await takeCacheDirectories(host.root, cacheRequests(op), signal)
      : undefined;
  const caches = own ?? request.caches;
  if (caches === undefined) throw new TypeError('a step without its cache mounts');
  if (op.network !== 'default') return await attempt(request, { ...execution, caches, network: op.network });
  const problems: string[] = [];
  for (const program of [...host.networkPrograms]) {
    try {
      return await attempt(request, { ...execution, caches, network: program });
    } catch (error) {
      if (!(error instanceof NetworkHelperFailure)) throw error;
      problems.push(`${program.name} does not work here (${error.message})`);
      // Another step of the same build may have found the same.
      const index = host.networkPrograms.indexOf(program);
      if (index >= 0) host.networkPrograms.splice(index, 1);
    }
  }
  const reason = problems.join(', ') || 'neither pasta nor slirp4netns is to be had';
  if (request.isolated === true)
    throw new BuildError('NETWORK_UNAVAILABLE', `steps cannot have a network of their own: ${reason}`, {
      hint: '`tsbuild doctor` says what this host lacks; --network=none needs nothing',
    });
  host.warnHostNetwork(reason);
  return await attempt(request, { ...execution, caches, network: 'host' });
}

class NetworkHelperFailure extends Error {}

interface Attempt extends Execution {
  readonly caches: CacheDirectories;
  readonly network: 'host' | 'none' | NetworkProgram;
}

/**
 * A shared cache must stand still while paths in it are resolved: mount points are made in it (CVE-2021-30465), or the step starts below it
 * (CVE-2024-21626).
 */
export function cacheRequests(op: StepOp): CacheRequest[] {
  return op.mounts.flatMap((mount) => {
    if (mount.type !== 'cache') return [];
    const others = op.mounts.filter((other) => other !== mount).flatMap((other) => other.target ?? []);
    const startsBelow = op.cwd !== mount.target && isBelow(op.cwd, mount.target);
    const nested = startsBelow || others.some((target) => isBelow(target, mount.target));
    return [{ id: mount.id, sharing: nested ? ('locked' as const) : mount.sharing }];
  });
}

async function attempt(request: StepRequest, execution: Attempt): Promise<StepResult> {
  const { host, runtime, network } = execution;
  const { signal, op } = request;
  const snapshot = makeSnapshot(host.root);
  const { directory } = snapshot;
  const bundle: BundlePlace = {
    directory,
    id: `tsbuild-${snapshot.id}`,
    log: join(directory, 'runtime.log'),
    state: join(directory, 'state'),
  };
  const terminal = execution.terminal === 'tty' && !runtime.makesTerminal ? await makeTerminal() : undefined;
  let sandbox: SandboxProcess | undefined;
  let limited: LimitedCgroup | undefined;
  let failed = false;
  const stop = (): void => void sandbox?.kill();
  try {
    recordCgroups(directory);
    limited = limit(request, execution, bundle.id);
    const overlay = layOutOverlay(directory, '', { lower: request.layers, writable: true });
    sandbox = new SandboxProcess({
      directory,
      namespaces:
        runtime.namespaces(network === 'none' ? 'own' : 'given') |
        (typeof network === 'object' ? CLONE_NEWNET : 0),
      stdio: terminal?.slave ?? (execution.terminal === undefined ? 'capture' : 'inherit'),
      onOutput: request.onOutput,
    });
    terminal?.connect();
    if (!runtime.readsConfig) limited?.join(sandbox.pid);
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    const killsBefore = oomKills();
    const ended = await inSandbox(request, { ...execution, sandbox, bundle, overlay, limited });
    signal.throwIfAborted();
    const said = runtimeError(bundle.log);
    if (said !== undefined) throw startError(said, op, directory);
    const upper = join(directory, 'upper');
    ended.stubs.remove(upper);
    const { exitCode, ownerOf } = ended;
    const oomKilled =
      limited === undefined
        ? exitCode === SIGKILLED && oomKills() > killsBefore
        : exitCode !== 0 && limited.oomKilled();
    return { exitCode, upper, ownerOf, oomKilled, discard: () => snapshot.discard() };
  } catch (error) {
    await sandbox?.kill();
    failed = true;
    if (signal.aborted) throw signal.reason;
    throw error instanceof PlanError && exhaustion(error) === undefined
      ? startError(error.message, op, directory)
      : error;
  } finally {
    signal.removeEventListener('abort', stop);
    await terminal?.[Symbol.asyncDispose]();
    limited?.[Symbol.dispose]();
    await removeCgroups(directory, bundle.id);
    if (failed) await snapshot.discard();
  }
}

/** The cgroup for the limits of a step. undefined: it has none, or they cannot be enforced here, which is told once. */
function limit(request: StepRequest, { host, runtime }: Attempt, name: string): LimitedCgroup | undefined {
  const { limits } = request;
  if (limits === undefined || Object.values(limits).every((value) => value === undefined)) return undefined;
  try {
    // Others than runc take a path from the top of each hierarchy, where steps cannot be told from all else.
    if (!host.cgroupV2 && runtime.readsConfig && runtime.name !== 'runc')
      throw new LimitsRefused(`${runtime.name} leaves the limits of cgroups v1`);
    return limitedCgroup(limits, name);
  } catch (error) {
    if (!(error instanceof LimitsRefused)) throw error;
    host.warnUnlimited(error.message);
    return undefined;
  }
}

// Loaded for those who ask.
async function makeTerminal(): Promise<OwnTerminal> {
  return (await import('./own-terminal.ts')).ownTerminal();
}

interface InSandbox extends Attempt {
  readonly sandbox: SandboxProcess;
  readonly bundle: BundlePlace;
  readonly overlay: string;
  readonly limited: LimitedCgroup | undefined;
}

async function inSandbox(
  request: StepRequest,
  execution: InSandbox,
): Promise<{
  readonly exitCode: number;
  readonly stubs: MountPointStubs;
  readonly ownerOf: OwnerOf | undefined;
}> {
  const { sandbox, host, network, bundle } = execution;
  await sandbox.ready();
  // The helper starts while the mounts are made.
  const helper =
    typeof network === 'object'
      ? startHelper(network, { pid: sandbox.pid, directory: bundle.directory, path: host.path })
      : undefined;
  helper?.catch(() => {});
  let plan: MountPlan | undefined;
  try {
    await sandbox.overlay(execution.overlay, 'merged');
    const written = await writeBundle(request, execution);
    ({ plan } = written);
    await networkReady(helper);
    await using owners = stepOwners(request, execution);
    const start = execution.runtime.start({
      ...execution.bundle,
      spec: written.spec,
      view: (path) => sandbox.view(path),
      ownStreams:
        execution.terminal === undefined ||
        (execution.terminal === 'tty' && !execution.runtime.makesTerminal),
      path: host.path,
    });
    const exitCode = await sandbox.run(start, owners?.guard.bind(owners));
    return { exitCode, stubs: plan.stubs, ownerOf: owners?.ownerOf(written.user) };
  } finally {
    await plan?.[Symbol.asyncDispose]();
    const started = await helper?.catch(() => undefined);
    await started?.[Symbol.asyncDispose]();
  }
}

/** Only where there is a single id the owners of files have to be written down. */
function stepOwners(request: StepRequest, { host, bundle }: InSandbox): StepOwners | undefined {
  const { arch, ids } = host;
  if (ids !== 'single' || arch === undefined) return undefined;
  return new StepOwners({ arch, upper: join(bundle.directory, 'upper'), lower: request.layers });
}

async function networkReady(helper: Promise<NetworkHelper> | undefined): Promise<void> {
  try {
    await helper;
  } catch (error) {
    // That says nothing about the program, and is no reason to share the host's network.
    if (exhaustion(error) !== undefined) throw error;
    throw new NetworkHelperFailure((error as Error).message, { cause: error });
  }
}

/** Prepares mounts, user and working directory in the mounted root filesystem, and writes config.json. */
async function writeBundle(
  request: StepRequest,
  execution: InSandbox,
): Promise<{ readonly plan: MountPlan; readonly user: StepUser; readonly spec: RuntimeSpec }> {
  const { sandbox, bundle, host, runtime, network, caches, volumes, limited } = execution;
  const { op } = request;
  const rootfs = join(bundle.directory, 'merged');
  // Closed before the step runs: an open descriptor would keep the overlay alive after the sandbox.
  using tree = new RootTree(sandbox.view(rootfs));
  const plan = await prepareMounts({
    ...{ request, sandbox, directory: bundle.directory, tree, caches, volumes },
    network: typeof network === 'object' ? network.name : network,
    single: host.ids === 'single',
  });
  try {
    requireInterpreter(op.platform, tree);
    const user = resolveUser(tree, op.user);
    const cwd = makeWorkingDirectory(tree, op.cwd, {
      ...{ user, mounts: plan.mounts, stubs: plan.stubs },
      view: (path) => sandbox.view(path),
    });
    const spec = runtimeSpec({
      rootfs,
      args: op.args,
      env: environment([...op.env, ...request.env, ...plan.env], user),
      cwd,
      user,
      hostname: op.hostname,
      terminal: execution.terminal === 'tty',
      security: op.security,
      network: network === 'none' ? 'own' : network === 'host' ? 'host' : 'given',
      mounts: plan.mounts,
      devices: op.security === 'insecure' ? insecureDevices() : undefined,
      shmSize: request.shmSize,
      ulimits: request.ulimits,
      // A runtime takes a path that it is given as one that it must be able to make.
      cgroupsPath: limited?.runtimePath ?? (host.ids === undefined ? bundle.id : undefined),
      shownCgroups: runtime.readsConfig ? undefined : limited?.shown,
      // Read after the sandbox got its copy of all mounts.
      host: { ...host, sysMounts: host.ids === undefined ? [] : mountsBelow('/sys') },
    });
    if (runtime.readsConfig) await writeSpec(JSON.stringify(spec), bundle, plan);
    return { plan, user, spec };
  } catch (error) {
    await plan[Symbol.asyncDispose]();
    throw error;
  }
}

/** A config.json with secrets in it is on no disk, nor is the runtime's state, into which crun copies it. */
async function writeSpec(text: string, bundle: BundlePlace, { memory }: MountPlan): Promise<void> {
  const path = join(bundle.directory, 'config.json');
  if (memory === undefined) return writeFileSync(path, text, { mode: 0o600 });
  symlinkSync(await memory.write(Buffer.from(text), { mode: 0o600, uid: 0, gid: 0 }), path);
  symlinkSync(await memory.makeDirectory(), bundle.state);
}

/** One value for each name, the last; then HOME from passwd where nothing sets it, as every runtime does. */
export function environment(list: readonly string[], user: StepUser): string[] {
  const merged = new Map<string, string>();
  for (const item of list) {
    const cut = item.indexOf('=');
    if (cut > 0) merged.set(item.slice(0, cut), item);
  }
  if (!merged.has('HOME')) merged.set('HOME', `HOME=${user.home}`);
  return [...merged.values()];
}
