import type { CacheDirectories, ContainerRun, OnOutput } from '../../executor/executor.ts';
import type { RuntimeReport } from '../../executor/doctor.ts';
import type { ExecOp } from '../../graph/op.ts';
import type { StoredLayer } from '../../image/layer-store.ts';
import type { LayerLeak, SecretGateData } from '../../image/secret-scan.ts';
import type { UlimitOption } from '../types.ts';

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
  readonly secrets: { get(id: string): Promise<Uint8Array | undefined> };
  readonly sshSockets: Readonly<Record<string, string>>;
  readonly extraHosts: readonly string[];
  readonly shmSize?: number | undefined;
  readonly ulimits: readonly UlimitOption[];
  /** Later mtimes in the new layer become this one, nanoseconds. */
  readonly clampMtime?: bigint | undefined;
  /** What the new layer is searched for. */
  readonly gate?: SecretGateData | undefined;
}

export interface RunningStep {
  /** What `takeCaches` gave. */
  readonly caches: HeldCaches | undefined;
  readonly onOutput: OnOutput;
  readonly signal: AbortSignal;
}

export interface StepEnd {
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** What the step changed; undefined for one that failed. */
  readonly layer: StoredLayer | undefined;
  /** Secrets in it, which are allowed. */
  readonly leaks: readonly LayerLeak[];
}

/** Cache mounts that are held for one step. */
export type HeldCaches = CacheDirectories | { readonly token: number; [Symbol.dispose](): void };

export type ContainerTask = Omit<ContainerRun, 'layers'> & { readonly layers: readonly StoredLayer[] };

/** Where steps are executed: in this process, or in one that is root of a user namespace. Errors are those of `Executor`. */
export interface Steps extends AsyncDisposable {
  runtimeName(): Promise<string>;
  /** Tries each runtime (`tsbuild doctor`). */
  inspectRuntimes(): Promise<RuntimeReport>;
  takeCaches(op: ExecOp, signal: AbortSignal): Promise<HeldCaches & Disposable>;
  run(task: StepTask, running: RunningStep): Promise<StepEnd>;
  /** A command in a throw-away container. */
  runContainer(task: ContainerTask): Promise<{ readonly exitCode: number }>;
}
