import type { CacheDirectories, ContainerRun, OnOutput } from '../../executor/executor.ts';
import type { RuntimeReport } from '../../executor/doctor.ts';
import type { ExecOp } from '../../graph/op.ts';
import type { StoredLayer } from '../../image/layer-store.ts';
import type { LayerLeak, SecretGateData } from '../../image/secret-scan.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Platform } from '../../oci/platform.ts';
import type { BuildOptions, UlimitOption } from '../types.ts';

/** What a bind mount shows, or a cache mount begins with. */
export type TaskSource =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'layers'; readonly layers: readonly StoredLayer[] };

/** One RUN, with layers that nobody need have unpacked yet. */
export interface StepTask {
  /** For messages; opaque. */
  readonly id: string;
  readonly op: ExecOp;
  /** Base to top. */
  readonly layers: readonly StoredLayer[];
  /** By index in `op.mounts`. */
  readonly binds: ReadonlyMap<number, TaskSource>;
  /** Extra environment: proxy variables. */
  readonly env: readonly string[];
  /** PEM: certificate authorities besides the image's. */
  readonly certificates?: string | undefined;
  readonly secrets: { get(id: string): Promise<Uint8Array | undefined> };
  readonly sshSockets: Readonly<Record<string, string>>;
  readonly extraHosts: readonly string[];
  readonly shmSize?: number | undefined;
  /** A `default` network must not be the host's. */
  readonly isolated: boolean;
  readonly limits: BuildOptions['limits'];
  readonly ulimits: readonly UlimitOption[];
  /** Later mtimes in the new layer become this one, nanoseconds. */
  readonly clampMtime?: bigint | undefined;
  /** What the new layer is searched for. */
  readonly gate?: SecretGateData | undefined;
}

/** How a shell is opened where a step would run. */
export interface ShellOpening {
  readonly args: readonly string[];
  /** Connects the caller's own standard streams, with a terminal of its own or as they are; undefined: output goes to `onOutput`. */
  readonly terminal: 'tty' | 'plain' | undefined;
  readonly onOutput: OnOutput;
  readonly signal: AbortSignal;
}

/** What a failed step has left; it is removed when this is disposed of. */
export interface FailedStep extends AsyncDisposable {
  /** Runs something else in the same place, with the same mounts; what it writes is thrown away. */
  shell(opening: ShellOpening): Promise<{ readonly exitCode: number }>;
}

export interface RunningStep {
  /** What `takeCaches` gave. */
  readonly caches: HeldCaches | undefined;
  readonly onOutput: OnOutput;
  readonly signal: AbortSignal;
  /** A failed step is kept: `StepEnd.failed`. */
  readonly keepFailed?: boolean | undefined;
}

export interface StepEnd {
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** What the step changed; undefined for one that failed. */
  readonly layer: StoredLayer | undefined;
  /** Secrets in it, which are allowed. */
  readonly leaks: readonly LayerLeak[];
  /** Where it was asked for. */
  readonly failed?: FailedStep | undefined;
}

/** Cache mounts that are held for one step. */
export type HeldCaches = CacheDirectories | { readonly token: number; [Symbol.dispose](): void };

export type ContainerTask = Omit<ContainerRun, 'layers'> & { readonly layers: readonly StoredLayer[] };

/** What a cache mount has, as a blob of the store: a tar, packed with zstd; and the directory itself. */
export interface KeptCache {
  readonly digest: Digest;
  /** Bytes of the blob. */
  readonly size: number;
  /** Of the tar. */
  readonly diffId: Digest;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Where steps are executed: in this process, or in one that is root of a user namespace. Errors are those of `Executor`. */
export interface Steps extends AsyncDisposable {
  /** Throws what speaks against steps for a platform, before there is one. */
  check(platform: Platform): Promise<void>;
  /** Tries each runtime (`tsbuild doctor`). */
  inspectRuntimes(): Promise<RuntimeReport>;
  takeCaches(op: ExecOp, signal: AbortSignal): Promise<HeldCaches & Disposable>;
  /** Keeps what a cache mount has now, once no step uses it; undefined where there is none. */
  keepCache(id: string, signal: AbortSignal): Promise<KeptCache | undefined>;
  /** Gives a cache mount that no step has used here its content. False: one has, and it stays as it is. */
  fillCache(id: string, content: KeptCache, signal: AbortSignal): Promise<boolean>;
  run(task: StepTask, running: RunningStep): Promise<StepEnd>;
  /** Something else where the step would run; what it writes is thrown away. */
  shell(
    task: StepTask,
    opening: ShellOpening & Pick<RunningStep, 'caches'>,
  ): Promise<{ readonly exitCode: number }>;
  /** A command in a throw-away container. */
  runContainer(task: ContainerTask): Promise<{ readonly exitCode: number }>;
}
