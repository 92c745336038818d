import { unpackComponents } from '../cache/components.ts';
import type { RemoteCaches } from '../cache/remote.ts';
import type { RecordsDocument, RemoteRecord, StackItem } from '../cache/remote-format.ts';
import type { KeyComponents } from '../graph/key-components.ts';
import type { LayerStore, StoredLayer } from '../image/layer-store.ts';
import type { Digest } from '../oci/digest.ts';
import { isDigest } from '../oci/digest.ts';
import type { CacheRecord, State } from '../store/state-record.ts';
import type { BaseImages } from './base-images.ts';
import type { Session } from './session.ts';

interface Known {
  readonly session: Session;
  readonly layerStore: LayerStore;
  readonly bases: BaseImages;
  readonly imports: RemoteCaches | undefined;
}

export interface CollectedRecords extends RecordsDocument {
  /** Those that are not of base images. */
  readonly layers: ReadonlyMap<Digest, StoredLayer>;
}

/** Records of one op that are looked through for other keys of the same result. */
const comparedRecords = 16;

/**
 * What is known under these keys, here or in the imports, with all keys that the same results have (by content, too). Left out is what
 * cannot be had any more, and what holds a secret.
 */
export async function collectRecords(keys: readonly Digest[], known: Known): Promise<CollectedRecords> {
  const { state } = known.session.store;
  const records = new Map<Digest, RemoteRecord>();
  const components = new Map<Digest, KeyComponents>();
  const layers = new Map<Digest, StoredLayer>();
  for (const key of keys) {
    const own = state.cacheRecord(key);
    for (const record of own === undefined ? await imported(key, known, components) : locals(own, state)) {
      if (!(await addLayers(record, layers, known))) continue;
      records.set(record.key, record);
      const data = record.components === undefined ? undefined : state.components(record.components);
      const explained = data === undefined ? undefined : unpackComponents(data);
      if (record.components !== undefined && explained !== undefined)
        components.set(record.components, explained);
    }
  }
  return {
    records: [...records.values()].map((record) =>
      record.components === undefined || components.has(record.components)
        ? record
        : { ...record, components: undefined },
    ),
    components,
    layers,
  };
}

/** All records of a step of this machine: those with another key for the same result too. */
function locals(own: CacheRecord, state: State): readonly RemoteRecord[] {
  const result = JSON.stringify(own.result);
  const others = state
    .recordsOfOp(own.opKey, comparedRecords)
    .filter((other) => other.key !== own.key && JSON.stringify(other.result) === result);
  return [own, ...others].flatMap(({ key, opKey, inputs, kind, name, place, components, result: data }) => {
    const stack = stackOf(data);
    return stack === undefined ? [] : [{ key, opKey, inputs, kind, name, place, components, stack }];
  });
}

async function imported(
  key: Digest,
  { imports }: Known,
  components: Map<Digest, KeyComponents>,
): Promise<readonly RemoteRecord[]> {
  for (const index of (await imports?.indexes()) ?? []) {
    const own = index.record(key);
    if (own === undefined) continue;
    const stack = JSON.stringify(own.stack);
    const all = index.recordsOfOp(own.opKey).filter((other) => JSON.stringify(other.stack) === stack);
    for (const { components: name } of all) {
      const explained = name === undefined ? undefined : index.components(name);
      if (name !== undefined && explained !== undefined) components.set(name, explained);
    }
    return all;
  }
  return [];
}

/** Result of a record as the result cache writes it. undefined: it is no stack, or holds secrets that one build was allowed. */
function stackOf(result: CacheRecord['result']): readonly StackItem[] | undefined {
  if (!Array.isArray(result)) return undefined;
  const stack: StackItem[] = [];
  for (const item of result as readonly unknown[]) {
    const [diffId, created, leaks] = Array.isArray(item) ? (item as readonly unknown[]) : [];
    if (typeof diffId !== 'string' || !isDigest(diffId) || leaks !== undefined) return undefined;
    stack.push([diffId, typeof created === 'string' ? created : null]);
  }
  return stack;
}

/** False when a layer is nowhere. */
async function addLayers(
  { stack }: RemoteRecord,
  layers: Map<Digest, StoredLayer>,
  { layerStore, bases, imports }: Known,
): Promise<boolean> {
  const found: StoredLayer[] = [];
  for (const [diffId] of stack) {
    if (layers.has(diffId) || bases.layer(diffId) !== undefined) continue;
    const layer = layerStore.get(diffId) ?? (await imports?.layer(diffId));
    if (layer === undefined) return false;
    found.push(layer);
  }
  for (const layer of found) layers.set(layer.knownDiffId, layer);
  return true;
}
