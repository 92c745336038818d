import { createLocalCache } from '../cache/local.ts';
import type { RemoteCaches } from '../cache/remote.ts';
import type { CacheStore } from '../graph/cache-store.ts';
import type { LayerStore } from '../image/layer-store.ts';
import type { LayerLeak } from '../image/secret-scan.ts';
import type { Digest } from '../oci/digest.ts';
import { isDigest } from '../oci/digest.ts';
import type { Store } from '../store/store.ts';
import type { JsonValue } from '../util/canonical-json.ts';
import type { BaseImages } from './base-images.ts';
import type { ResultLayer, StepOutcome } from './result.ts';

/**
 * The persistent cache of step results. A record lists the layers of the whole stack by diffId; it counts only while each of them is in
 * the store, or is a base layer that this build knows where to get. Behind it stand the caches of other machines.
 */
// oxlint-disable-next-line max-params -- the fourth is there for few builds
export function createResultCache(
  store: Store,
  layerStore: LayerStore,
  bases: BaseImages,
  imports?: RemoteCaches,
): CacheStore<StepOutcome> {
  const find = (diffId: Digest): ResultLayer['layer'] | undefined => {
    const base = bases.layer(diffId);
    // What is in the store does not know where others get the layer.
    return base?.urls === undefined ? (layerStore.get(diffId) ?? base) : base;
  };
  const local = createLocalCache<StepOutcome>({
    store,
    encode: (outcome) => {
      if (outcome.kind !== 'layers') throw new TypeError('trees are not recorded');
      return outcome.layers.map(({ layer, created, leaks }) => [
        layer.knownDiffId,
        created ?? null,
        ...(leaks === undefined ? [] : [leaks as unknown as JsonValue]),
      ]);
    },
    decode: (json) => Promise.resolve(decodeLayers(json, find)),
  });
  return (
    imports?.behind<StepOutcome>(local, {
      find,
      decode: (stack) => ({
        kind: 'layers',
        layers: stack.map(({ layer, created }) => ({ layer, ...(created === null ? {} : { created }) })),
      }),
    }) ?? local
  );
}

function decodeLayers(
  json: JsonValue,
  find: (diffId: Digest) => ResultLayer['layer'] | undefined,
): StepOutcome | undefined {
  if (!Array.isArray(json)) return undefined;
  const layers: ResultLayer[] = [];
  for (const item of json as readonly JsonValue[]) {
    if (!Array.isArray(item)) return undefined;
    const [diffId, created, leaks] = item as readonly JsonValue[];
    if (typeof diffId !== 'string' || !isDigest(diffId)) return undefined;
    const layer = find(diffId);
    if (layer === undefined) return undefined;
    layers.push({
      layer,
      ...(typeof created === 'string' ? { created } : {}),
      ...(leaks === undefined ? {} : { leaks: leaks as unknown as readonly LayerLeak[] }),
    });
  }
  return { kind: 'layers', layers };
}
