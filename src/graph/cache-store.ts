import type { Digest } from '../oci/digest.ts';

/** Where results are remembered. A miss is no error. Implementations live in cache/. */
export interface CacheStore<R> {
  lookup(key: Digest): Promise<R | undefined>;
  /** Makes one worker of many processes do a step: the others wait for its result. The lease is a kernel lock, freed when its holder dies. */
  claim(
    key: Digest,
    signal: AbortSignal,
  ): Promise<{ readonly result: R } | { readonly lease: AsyncDisposable }>;
  /** `opKey`: the part of the key that is the op's own, for finding near misses. */
  record(key: Digest, result: R, about: { readonly opKey: Digest; readonly name: string }): Promise<void>;
}
