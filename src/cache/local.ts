import type { CacheStore, Known, NearRecord } from '../graph/cache-store.ts';
import type { Digest } from '../oci/digest.ts';
import type { Store } from '../store/store.ts';
import type { JsonValue } from '../util/canonical-json.ts';
import type { CacheRecord, State } from '../store/state-record.ts';
import { packComponents, unpackComponents } from './components.ts';

export interface LocalCacheOptions<R> {
  readonly store: Pick<Store, 'state' | 'leases'>;
  /** A result as plain data; whatever it refers to must be in the store by then. */
  encode(result: R): JsonValue | Promise<JsonValue>;
  /** undefined: what the data refers to is gone. */
  decode(data: JsonValue): Promise<R | undefined>;
}

/** Of a place: enough to find the one that differs least. */
const comparedRecords = 8;

/** The results of this machine: records in the index of the store. */
export function createLocalCache<R>(options: LocalCacheOptions<R>): CacheStore<R> {
  const { state, leases } = options.store;
  const lookup = async (key: Digest): Promise<Known<R> | undefined> => {
    const record = state.cacheRecord(key);
    if (record === undefined) return undefined;
    const result = await options.decode(record.result);
    // A record whose data is gone stays: the step is about to be done again, and replaces it.
    if (result === undefined || !state.used(record)) return undefined;
    return { result };
  };
  const near = (record: CacheRecord): NearRecord => asNear(record, state);
  return {
    lookup,
    claim: async (key, signal) => {
      const lease = await leases.acquire(key, signal);
      try {
        const known = await lookup(key);
        if (known === undefined) return { lease };
        lease.release();
        return { ...known, from: 'another build' };
      } catch (error) {
        lease.release();
        throw error;
      }
    },
    record: async (key, result, { components, ...about }) => {
      const packed = components === undefined ? undefined : packComponents(components);
      const data = await options.encode(result);
      if (packed !== undefined) state.putComponents(packed.digest, packed.data);
      state.putCacheRecord({ key, ...about, components: packed?.digest, result: data });
    },
    near: (opKey) => {
      const record = state.newestOfOp(opKey);
      return Promise.resolve(record === undefined ? undefined : near(record));
    },
    atPlace: (place) => Promise.resolve(state.recordsAtPlace(place, comparedRecords).map(near)),
  };
}

/** A record as explanations see it: what its key was made of is read when it is asked for. */
export function asNear(
  { key, opKey, inputs, name, place, components }: CacheRecord,
  state: Pick<State, 'components'>,
): NearRecord {
  return {
    ...{ key, opKey, inputs, name, place },
    components: () => {
      const data = components === undefined ? undefined : state.components(components);
      return data === undefined ? undefined : unpackComponents(data);
    },
  };
}
