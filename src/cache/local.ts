import type { CacheStore } from '../graph/cache-store.ts';
import type { Digest } from '../oci/digest.ts';
import type { Store } from '../store/store.ts';
import type { JsonValue } from '../util/canonical-json.ts';

export interface LocalCacheOptions<R> {
  readonly store: Pick<Store, 'state' | 'leases'>;
  /** A result as plain data; whatever it refers to must be in the store by then. */
  encode(result: R): JsonValue | Promise<JsonValue>;
  /** undefined: what the data refers to is gone. */
  decode(data: JsonValue): Promise<R | undefined>;
}

/** The results of this machine: records in the index of the store. */
export function createLocalCache<R>(options: LocalCacheOptions<R>): CacheStore<R> {
  const { state, leases } = options.store;
  const lookup = async (key: Digest): Promise<R | undefined> => {
    const record = state.cacheRecord(key);
    if (record === undefined) return undefined;
    const result = await options.decode(record.result);
    // A record whose data is gone stays: the step is about to be done again, and replaces it.
    if (result !== undefined) state.used(record);
    return result;
  };
  return {
    lookup,
    claim: async (key, signal) => {
      const lease = await leases.acquire(key, signal);
      try {
        const result = await lookup(key);
        if (result === undefined) return { lease };
        lease.release();
        return { result };
      } catch (error) {
        lease.release();
        throw error;
      }
    },
    record: async (key, result, { opKey, inputs, name }) => {
      state.putCacheRecord({ key, opKey, inputs, name, result: await options.encode(result) });
    },
    near: (opKey) => Promise.resolve(state.newestOfOp(opKey)),
  };
}
