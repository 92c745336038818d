import { makeDirectories } from '../util/make-directories.ts';
import { join } from 'node:path';
import {
  capabilitySet,
  cgroupMode,
  hasRightsOfRoot,
  hasSingleId,
  helperPath,
  kernelVersion,
  mappedIds,
} from '../host/probe.ts';
import { agentArch } from '../host/agent/agent.ts';
import type { Platform } from '../oci/platform.ts';
import type { Emit, ProgressEvent } from '../progress/event.ts';
import { BuildError } from '../util/build-error.ts';
import type { RuntimeFinding, RuntimeSearch } from './choose-runtime.ts';
import { chooseRuntime } from './choose-runtime.ts';
import type { ExecutionHost } from './execute.ts';
import { cacheRequests, execute } from './execute.ts';
import { requirePrograms } from './foreign-programs.ts';
import type { HostVolume } from './mounts.ts';
import { networkPrograms } from './network-helper.ts';
import { hostResolvers } from './network.ts';
import type { Runtime } from './runtime.ts';
import { seccompArch } from './seccomp.ts';
import { removeStaleSnapshots } from './snapshot.ts';
import type { CacheDirectories } from './cache-mounts.ts';
import { takeCacheDirectories } from './cache-mounts.ts';
import type { OnOutput, StepOp, StepRequest, StepResult } from './step.ts';
import { tryRuntime } from './trial.ts';

export type { CacheDirectories } from './cache-mounts.ts';
export type { MountSource, OnOutput, StepRequest, StepResult } from './step.ts';

export interface ContainerRun {
  /** Unpacked layers in overlayfs form, base to top. */
  readonly layers: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  /** As in USER; '' is root. */
  readonly user: string;
  readonly volumes: readonly HostVolume[];
  readonly network: 'default' | 'none' | 'host';
  /** A `default` network must not be the host's: NETWORK_UNAVAILABLE else. */
  readonly isolated?: boolean | undefined;
  readonly tty: boolean;
  /** Connects the caller's own standard input and output; onOutput is not called then. */
  readonly interactive: boolean;
  readonly hostname?: string | undefined;
  readonly platform: Platform;
  readonly onOutput: OnOutput;
  readonly signal: AbortSignal;
}

export interface Executor {
  /** Throws SANDBOX_UNAVAILABLE where no runtime works, STEP_PLATFORM where programs of a platform do not run. */
  check(platform: Platform): Promise<void>;
  /** Waits for the cache mounts of a step, which others may hold; rejects with the signal's reason on abort. */
  takeCaches(op: StepOp, signal: AbortSignal): Promise<CacheDirectories>;
  /**
   * Executes one RUN. The exit code is a value. Throws STEP_START, STEP_PLATFORM, SECRET_MISSING, USER_UNKNOWN, SANDBOX_UNAVAILABLE, NETWORK_UNAVAILABLE; rejects with the
   * signal's reason on abort, after everything that ran is dead. Waits for cache mounts that others hold, unless it
   * is given them.
   */
  run(request: StepRequest): Promise<StepResult>;
  /**
   * The same with the caller's own standard streams, with a terminal of its own or as they are (undefined: output goes to `onOutput`);
   * what it writes is thrown away. Errors as of `run`.
   */
  open(request: StepRequest, terminal: 'tty' | 'plain' | undefined): Promise<{ readonly exitCode: number }>;
  /** Runs a command in a throw-away container (`tsbuild run`). Errors as of `run`. */
  runContainer(request: ContainerRun): Promise<{ readonly exitCode: number }>;
  /** Removes what processes that died left in the store: directories and cgroups; mounts and processes never remain. */
  cleanStale(): Promise<void>;
}

export interface ExecutorOptions {
  /** Root of the store. */
  readonly root: string;
  /** 'crun', 'runc', 'youki', 'embedded', or a path; undefined: the best that works. */
  readonly runtime?: string | undefined;
  readonly emit?: Emit | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** Is this process in a user namespace of its own? Emulators are registered there as they are needed. */
  readonly ownNamespace?: boolean | undefined;
}

/** Executes steps on this host. Nothing is looked at before the first step needs it. */
export function createExecutor(options: ExecutorOptions): Executor {
  const { root } = options;
  let host: ExecutionHost | undefined;
  let runtime: Promise<Runtime> | undefined;
  const theHost = (): ExecutionHost => (host ??= inspect(options));
  const theRuntime = (): Promise<Runtime> => {
    runtime ??= chooseRuntime(runtimeSearch(theHost(), options.runtime)).then((chosen) => {
      if (chosen.finding.holes !== undefined) options.emit?.(holesWarning(chosen.finding));
      return chosen.runtime;
    });
    // A failure is not kept: the next step may find what this one did not.
    runtime.catch(() => (runtime = undefined));
    return runtime;
  };
  return {
    async check(platform) {
      await requirePrograms(platform, theHost());
      await theRuntime();
    },
    takeCaches: (op, signal) => takeCacheDirectories(root, cacheRequests(op), signal),
    run: async (request) => execute(request, { host: theHost(), runtime: await theRuntime() }),
    async open(request, terminal) {
      const result = await execute(request, { host: theHost(), runtime: await theRuntime(), terminal });
      await result.discard();
      return { exitCode: result.exitCode };
    },
    async runContainer(request) {
      const { args, env, cwd, user, network, hostname = 'tsbuild' } = request;
      const result = await execute(
        {
          id: 'run',
          op: {
            ...{ args, env, cwd, user, network, hostname },
            ...{ mounts: [], files: [], security: 'sandbox', platform: request.platform },
          },
          layers: request.layers,
          binds: new Map(),
          env: [],
          secrets: { get: () => Promise.resolve(undefined) },
          sshSockets: {},
          extraHosts: [],
          isolated: request.isolated,
          onOutput: request.onOutput,
          signal: request.signal,
        },
        {
          host: theHost(),
          runtime: await theRuntime(),
          volumes: request.volumes,
          terminal: request.interactive ? (request.tty ? 'tty' : 'plain') : undefined,
        },
      );
      await result.discard();
      return { exitCode: result.exitCode };
    },
    cleanStale: () => removeStaleSnapshots(root),
  };
}

function holesWarning({ name, version = '', holes = '' }: RuntimeFinding): ProgressEvent {
  return {
    type: 'diagnostic',
    diagnostic: {
      severity: 'warning',
      rule: 'VulnerableRuntime',
      message: `steps run on ${name} ${version}, which has known holes: ${holes}`,
      hint: `update ${name}, or build with --runtime embedded`,
    },
  };
}

/** The search for a runtime with a real trial in the sandbox. */
export function runtimeSearch(host: ExecutionHost, requested: string | undefined): RuntimeSearch {
  return { root: host.root, path: host.path, requested, host, trial: (runtime) => tryRuntime(runtime, host) };
}

/** Reads what steps need to know of this host. Throws SANDBOX_UNAVAILABLE or UNSUPPORTED_HERE where no step can run. */
export function inspect(options: ExecutorOptions): ExecutionHost {
  const problem = hostProblem();
  if (problem !== undefined) throw problem;
  const path = helperPath(options.env);
  const warned = new Set<string>();
  const warn = (rule: string, text: { readonly message: string; readonly hint: string }): void => {
    if (warned.has(rule)) return;
    warned.add(rule);
    options.emit?.({ type: 'diagnostic', diagnostic: { severity: 'warning', rule, ...text } });
  };
  makeDirectories(join(options.root, 'snapshots'), 0o700);
  return {
    root: options.root,
    path,
    arch: seccompArch(),
    cgroupV2: cgroupMode() === 'v2',
    ownNamespace: options.ownNamespace ?? false,
    ids: mappedIds() === undefined ? undefined : hasSingleId() ? 'single' : 'many',
    capabilities: capabilitySet('CapBnd'),
    networkPrograms: networkPrograms(path, hostResolvers()),
    warnHostNetwork(reason) {
      warn('HostNetwork', {
        message: `steps use the host's network: ${reason}`,
        hint: 'install passt or slirp4netns, or build with --network=none',
      });
    },
    warnUnlimited(reason) {
      warn('Unlimited', {
        message: `steps run without the limits that were asked for: ${reason}`,
        hint: 'run as root, or where a cgroup is delegated: systemd-run --user --scope -p Delegate=yes',
      });
    },
  };
}

/** Why no step can run on this host at all; undefined: nothing speaks against it. */
export function hostProblem(): BuildError | undefined {
  if (process.platform !== 'linux')
    return new BuildError('UNSUPPORTED_HERE', `RUN executes on Linux only, this is ${process.platform}`, {
      hint: 'build on a Linux machine or in a virtual machine; a Dockerfile without RUN builds here',
    });
  if (agentArch() === undefined)
    return new BuildError(
      'SANDBOX_UNAVAILABLE',
      `steps are executed on x86-64 and arm64, not on ${process.arch}`,
      {
        hint: 'a Dockerfile without RUN builds here',
      },
    );
  // In a user namespace overlayfs keeps its marks in attributes of users.
  const [least, who] = mappedIds() === undefined && hasRightsOfRoot() ? [5010, ''] : [5011, ' without root'];
  if (kernelVersion() < least)
    return new BuildError('SANDBOX_UNAVAILABLE', `a step${who} needs Linux 5.${least - 5000} or later`, {
      hint: 'a Dockerfile without RUN builds on any kernel',
    });
  return undefined;
}
