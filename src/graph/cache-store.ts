import type { Digest } from '../oci/digest.ts';

/** What a record says besides its result. */
export interface RecordAbout {
  /** The part of the key that is the op's own, for finding near misses. */
  readonly opKey: Digest;
  /** The inputs' parts of the key, in the order of the vertex. */
  readonly inputs: readonly Digest[];
  /** For people. */
  readonly name: string;
}

/** A record of the same op, with other inputs or with a result that is lost. */
export interface NearRecord extends RecordAbout {
  readonly key: Digest;
}

/** Where results are remembered. A miss is no error. Implementations live in cache/. */
export interface CacheStore<R> {
  lookup(key: Digest): Promise<R | undefined>;
  /** Makes one worker of many processes do a step: the others wait for its result. The lease is a kernel lock, freed when its holder dies. */
  claim(
    key: Digest,
    signal: AbortSignal,
  ): Promise<{ readonly result: R } | { readonly lease: AsyncDisposable }>;
  record(key: Digest, result: R, about: RecordAbout): Promise<void>;
  /** The latest record of an op, to tell why a step was not cached; undefined when there is none. */
  near(opKey: Digest): Promise<NearRecord | undefined>;
}
