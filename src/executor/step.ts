import type { Platform } from '../oci/platform.ts';
import type { CacheDirectories } from './cache-mounts.ts';
import type { OwnerOf } from './step-owners.ts';

// What the executor needs to know of a RUN. `ExecOp` of the graph has this shape; it is written down here again because the
// executor knows no graph.

export type CacheSharing = 'shared' | 'private' | 'locked';

/** A mount of a step (L-MNT). Targets are absolute and clean. */
export type StepMount =
  | {
      readonly type: 'bind';
      readonly target: string;
      readonly source: string;
      readonly readonly: boolean;
    }
  | {
      readonly type: 'cache';
      readonly target: string;
      readonly id: string;
      readonly sharing: CacheSharing;
      readonly readonly: boolean;
      readonly source: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | { readonly type: 'tmpfs'; readonly target: string; readonly size?: number; readonly readonly?: true }
  | {
      readonly type: 'secret';
      readonly id: string;
      readonly target?: string;
      readonly env?: string;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | {
      readonly type: 'ssh';
      readonly id: string;
      readonly target: string;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    };

export interface StepOp {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: string;
  readonly mounts: readonly StepMount[];
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
  readonly hostname: string;
  readonly platform: Platform;
  readonly files: readonly { readonly path: string; readonly content: string; readonly mode: number }[];
}

/** Where the content of a mount is. Layer directories are in overlayfs form, base to top. */
export type MountSource =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'layers'; readonly directories: readonly string[] };

export interface Ulimit {
  /** As in setrlimit without the prefix: `nofile`. */
  readonly name: string;
  /** -1 is unlimited. */
  readonly soft: number;
  readonly hard: number;
}

/** What a step may use of the machine (C-EX-3). */
export interface StepLimits {
  /** Bytes. */
  readonly memory?: number | undefined;
  /** Bytes of memory and swap together; -1 is unlimited. Default: twice the memory. */
  readonly memorySwap?: number | undefined;
  /** Processors, also in parts. */
  readonly cpus?: number | undefined;
  /** Weight against others, 1024 being usual. */
  readonly cpuShares?: number | undefined;
  /** Microseconds of each period. */
  readonly cpuQuota?: number | undefined;
  /** Microseconds. */
  readonly cpuPeriod?: number | undefined;
  /** Lists, such as `0-2,4`. */
  readonly cpusetCpus?: string | undefined;
  readonly cpusetMems?: string | undefined;
}

/** Gets a step's output; while a promise that it returns is open, no more is read of that stream. */
export type OnOutput = (stream: 'stdout' | 'stderr', data: Uint8Array) => unknown;

/** One RUN to execute. */
export interface StepRequest {
  /** For messages; opaque. */
  readonly id: string;
  readonly op: StepOp;
  /** Unpacked layers in overlayfs form, base to top; may be empty. Nobody may write to them meanwhile. */
  readonly layers: readonly string[];
  /** By index in `op.mounts`: content of bind mounts and the seeds of cache mounts. Absent is the empty directory. */
  readonly binds: ReadonlyMap<number, MountSource>;
  /** Extra environment: proxy variables. */
  readonly env: readonly string[];
  /** PEM: certificate authorities that programs of the step trust besides the image's. */
  readonly certificates?: string | undefined;
  readonly secrets: { get(id: string): Promise<Uint8Array | undefined> };
  /** Host paths of agent sockets by id. */
  readonly sshSockets: Readonly<Record<string, string>>;
  /** `name:ip`, or `name=ip`. */
  readonly extraHosts: readonly string[];
  /** Bytes of /dev/shm; 64 MiB when absent. */
  readonly shmSize?: number | undefined;
  readonly ulimits?: readonly Ulimit[] | undefined;
  /** Where they cannot be enforced there is one warning. */
  readonly limits?: StepLimits | undefined;
  /** A `default` network must not be the host's. */
  readonly isolated?: boolean | undefined;
  /** Taken by `Executor.takeCaches`; whoever took them frees them. undefined: the step waits for them itself. */
  readonly caches?: CacheDirectories | undefined;
  readonly onOutput: OnOutput;
  readonly signal: AbortSignal;
}

export interface StepResult {
  /** 128 + n when signal n ended the process. */
  readonly exitCode: number;
  /** The overlay upper directory: what the step changed, no mount point stubs. */
  readonly upper: string;
  /** Whom a file below `upper` belongs to; undefined: its inode says so. */
  readonly ownerOf?: OwnerOf | undefined;
  /** Removes what is left of the step. The caller may have moved `upper` away before; calls this in any case. */
  discard(): Promise<void>;
  /** The kernel ended a process of the step for want of memory. Not known where the runtime has a cgroup of its own in hierarchy v1. */
  readonly oomKilled?: boolean;
}
