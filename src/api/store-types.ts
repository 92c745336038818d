import type { Pruned } from '../store/prune.ts';
import type { UsageRecord } from '../store/usage.ts';
import type { CommonOptions } from './types.ts';

export type { StoreCheck, StoreProblem, StoreProblemCode } from '../store/check.ts';
export type { UsageRecord, UsageType } from '../store/usage.ts';

/** How much of the disk a build may take. */
export interface SpaceOptions {
  /**
   * Bytes that the store may take, looked at before each step that has to run; what is longest unused makes room first, then STORE_FULL.
   * Default: TSBUILD_STORE_LIMIT of `env`, else none.
   */
  readonly storeLimit?: number | undefined;
  /** Bytes that must be free on the store's disk before a step; else DISK_FULL. Default: TSBUILD_MIN_FREE_SPACE of `env`, else 16 MiB. */
  readonly minFreeSpace?: number | undefined;
  /** Whether builds prune the store by themselves, once a day at most, by BuildKit's default policy. Default: unless TSBUILD_GC is `off`. */
  readonly gc?: boolean | undefined;
}

/** What takes the disk in the store. Bytes are blocks on the disk; their sum is what `du` says of the store's directory. */
export interface DiskUsage {
  /** The largest first. */
  readonly records: readonly UsageRecord[];
  /** Of what images of the store are made of. */
  readonly shared: number;
  readonly private: number;
  /** What `prune({ all: true })` can free now. */
  readonly reclaimable: number;
  readonly total: number;
}

/** Which records are meant (KM-3). */
export interface RecordFilters {
  /**
   * `until=24h` (unused for so long), `FIELD=VALUE`, `FIELD!=VALUE`, `FIELD~=REGEXP` with the fields id, parents, description and type, or one of
   * inuse, mutable, immutable, shared, private. All must hold. USAGE for what is not understood.
   */
  readonly filters?: readonly string[] | undefined;
}

export interface DiskUsageOptions extends CommonOptions, RecordFilters {}

/** Without sizes everything goes that the filters mean and that is not in use. Sizes in bytes. */
export interface PruneOptions extends CommonOptions, RecordFilters {
  /** Also what images of the store were made of: building them again takes every step. The images themselves always stay. */
  readonly all?: boolean | undefined;
  /** What the store may take; the longest unused goes first. */
  readonly maxUsedSpace?: number | undefined;
  /** What is to be free on the disk. */
  readonly minFreeSpace?: number | undefined;
  /** The store is not made smaller than this for the sake of the others. */
  readonly reservedSpace?: number | undefined;
  /** Only tell what would go. */
  readonly dryRun?: boolean | undefined;
}

export interface StoreCheckOptions extends CommonOptions {
  /** Drop what is broken. */
  readonly repair?: boolean | undefined;
}

export type PruneResult = Pruned;

/** Work on the store as plain data: files of the store may need the rights of the user namespace that made them. */
export type StoreTask =
  | { readonly kind: 'usage' }
  | { readonly kind: 'check'; readonly repair: boolean; readonly wait: number }
  | {
      readonly kind: 'prune';
      readonly request: Omit<PruneOptions, keyof CommonOptions>;
      /** For commands that read the store, milliseconds. */
      readonly wait: number;
      /** For the build that asks: what it has used is in use. */
      readonly beside?: boolean | undefined;
    };
