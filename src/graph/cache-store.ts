import type { Digest } from '../oci/digest.ts';
import type { KeyComponents } from './key-components.ts';
import type { OpKind } from './op.ts';

/** What a record says besides its result. */
export interface RecordAbout {
  /** The part of the key that is the op's own, for finding near misses. */
  readonly opKey: Digest;
  /** The inputs' parts of the key, in the order of the vertex. */
  readonly inputs: readonly Digest[];
  readonly kind: OpKind;
  /** For people. */
  readonly name: string;
  /** Where the step stands, opaque: one instruction of one Dockerfile, also after it was edited. */
  readonly place?: string | undefined;
  /** What the key was made of, for explaining. */
  readonly components?: KeyComponents | undefined;
}

/** A record that a step is compared with: of the same op with other inputs or a lost result, or of the same place. */
export interface NearRecord extends Omit<RecordAbout, 'kind' | 'components'> {
  readonly key: Digest;
  /** Reads them; undefined when they are not there. */
  readonly components?: (() => KeyComponents | undefined) | undefined;
}

/** A result that was known. */
export interface Known<R> {
  readonly result: R;
  /** Where from, for people: a remote cache, `another build` that did the step meanwhile; undefined: a record of this store. */
  readonly from?: string | undefined;
}

/** Where results are remembered. A miss is no error. Implementations live in cache/. */
export interface CacheStore<R> {
  lookup(key: Digest): Promise<Known<R> | undefined>;
  /** Makes one worker of many processes do a step: the others wait for its result. The lease is a kernel lock, freed when its holder dies. */
  claim(key: Digest, signal: AbortSignal): Promise<Known<R> | { readonly lease: AsyncDisposable }>;
  record(key: Digest, result: R, about: RecordAbout): Promise<void>;
  /** The latest record of an op, to tell why a step was not cached; undefined when there is none. */
  near(opKey: Digest): Promise<NearRecord | undefined>;
  /** The latest records of a place, newest first; a few. */
  atPlace(place: string): Promise<readonly NearRecord[]>;
}
