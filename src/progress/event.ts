import type { Digest } from '../oci/digest.ts';
import type { BuildError } from '../util/build-error.ts';
import type { Diagnostic } from '../util/diagnostic.ts';
import type { MissReason } from './miss-reason.ts';

export type { Diagnostic } from '../util/diagnostic.ts';

/** Times are milliseconds since the epoch. */
export type ProgressEvent =
  /** A step: comes when it becomes known, again when its state changes. `id` is the vertex digest, or `internal:<words>` for work
   * that is no vertex (loading the Dockerfile, resolving an image, exporting). */
  | {
      readonly type: 'vertex';
      readonly id: Digest | `internal:${string}`;
      readonly name: string;
      readonly inputs?: readonly string[];
      /** Its cache key, once that is known. */
      readonly key?: Digest;
      readonly state: 'waiting' | 'running' | 'done' | 'cached' | 'failed' | 'cancelled';
      readonly time: number;
      /** Why it was not cached, in few words. */
      readonly reason?: string;
      /** The same as data. */
      readonly miss?: MissReason;
      /** Where a cached result came from, when not from this store: a remote cache, another build. */
      readonly from?: string;
      readonly error?: string;
    }
  | {
      readonly type: 'log';
      readonly id: string;
      readonly stream: 'stdout' | 'stderr';
      readonly data: Uint8Array;
      readonly time: number;
    }
  /** Something that takes time, within a step: a blob being pulled, a layer being compressed. Bytes. */
  | {
      readonly type: 'transfer';
      readonly id: string;
      readonly name: string;
      readonly current: number;
      readonly total?: number;
      readonly done: boolean;
      readonly time: number;
    }
  | { readonly type: 'diagnostic'; readonly diagnostic: Diagnostic };

export type VertexEvent = Extract<ProgressEvent, { type: 'vertex' }>;

/** Called synchronously, in order; must not throw. */
export type Emit = (event: ProgressEvent) => void;

/** What a renderer shows at the end. */
export type BuildOutcome = { readonly ok: true } | { readonly ok: false; readonly error: BuildError };
