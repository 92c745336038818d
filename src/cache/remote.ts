import type { CacheStore, Known, NearRecord } from '../graph/cache-store.ts';
import type { LayerStore, StoredLayer } from '../image/layer-store.ts';
import type { Layer } from '../image/layer.ts';
import type { Digest } from '../oci/digest.ts';
import type { Emit } from '../progress/event.ts';
import type { Repository } from '../registry/client.ts';
import type { State } from '../store/state-record.ts';
import { BuildError } from '../util/build-error.ts';
import { packComponents } from './components.ts';
import type { CachePlace } from './place.ts';
import type { RemoteRecord, StackItem } from './remote-format.ts';
import type { RemoteIndex } from './remote-import.ts';
import { readRemote } from './remote-import.ts';
import { remoteLayer } from './remote-layer.ts';

export interface RemoteCachesOptions {
  /** In the order in which they are asked. */
  readonly places: readonly CachePlace[];
  readonly layerStore: Pick<LayerStore, 'fromRemote'>;
  readonly state: State;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Shows work as a step. */
  step<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Shows the download of layers. */
  shown(layer: Layer, place: CachePlace): Layer;
}

/** Of a place: enough to find the one that differs least. */
const comparedRecords = 8;

/**
 * The caches of other machines, as one: each is read once, when a step is first not known here. What cannot be read is a warning, and
 * counts as empty. A layer that proves broken takes its whole cache out: see `broken`.
 */
export class RemoteCaches {
  readonly #options: RemoteCachesOptions;
  readonly #layers = new Map<Digest, StoredLayer>();
  readonly #from = new WeakMap<StoredLayer, CachePlace>();
  readonly #broken = new Set<CachePlace>();
  #indexes: Promise<readonly RemoteIndex[]> | undefined;

  constructor(options: RemoteCachesOptions) {
    this.#options = options;
  }

  /** How many caches have given layers that cannot be read. */
  get broken(): number {
    return this.#broken.size;
  }

  /** Those that can be asked, read when first wanted. */
  async indexes(): Promise<readonly RemoteIndex[]> {
    this.#indexes ??= Promise.all(this.#options.places.map((place) => this.#read(place))).then((all) =>
      all.filter((index) => index !== undefined),
    );
    return (await this.#indexes).filter(({ place }) => !this.#broken.has(place));
  }

  /** A layer of any of them that has been read; nothing is fetched. */
  async layer(diffId: Digest): Promise<StoredLayer | undefined> {
    for (const index of await this.indexes()) {
      const layer = this.#layerOf(index, diffId);
      if (layer !== undefined) return layer;
    }
    return undefined;
  }

  /** Whether a layer is still at another machine. */
  isRemote(layer: StoredLayer): boolean {
    return this.#layers.get(layer.knownDiffId) === layer && !layer.hasBlob();
  }

  /** Where a layer is, if that is a registry. */
  repositoryOf(layer: StoredLayer): Repository | undefined {
    return this.isRemote(layer) ? this.#from.get(layer)?.repository : undefined;
  }

  /**
   * The records of this machine with those of the others behind them. `find` yields what is known of a layer without them; `decode` makes a
   * result of its layers.
   */
  behind<R>(
    local: CacheStore<R>,
    {
      find,
      decode,
    }: {
      readonly find: (diffId: Digest) => StoredLayer | undefined;
      readonly decode: (stack: readonly { layer: StoredLayer; created: string | null }[]) => R;
    },
  ): CacheStore<R> {
    const lookup = async (key: Digest): Promise<Known<R> | undefined> => {
      for (const index of await this.indexes()) {
        const record = index.record(key);
        const stack = record?.stack.map(([diffId, created]) => ({
          layer: find(diffId) ?? this.#layerOf(index, diffId),
          created,
        }));
        if (record === undefined || stack === undefined) continue;
        const whole = stack.flatMap(({ layer, created }) =>
          layer === undefined ? [] : [{ layer, created }],
        );
        if (whole.length !== stack.length) continue;
        this.#keep(index, record);
        return { result: decode(whole), from: index.place.name };
      }
      return undefined;
    };
    return {
      ...local,
      lookup: async (key) => (await local.lookup(key)) ?? lookup(key),
      near: async (opKey) => {
        const known = await local.near(opKey);
        if (known !== undefined) return known;
        for (const index of await this.indexes()) {
          const [record] = index.recordsOfOp(opKey);
          if (record !== undefined) return nearRecord(index, record);
        }
        return undefined;
      },
      atPlace: async (place) => {
        const known = await local.atPlace(place);
        if (known.length > 0) return known;
        const all = (await this.indexes()).flatMap((index) =>
          index.recordsAtPlace(place).map((record) => nearRecord(index, record)),
        );
        return all.slice(0, comparedRecords);
      },
    };
  }

  #layerOf(index: RemoteIndex, diffId: Digest): StoredLayer | undefined {
    const known = this.#layers.get(diffId);
    if (known !== undefined) return known;
    const blob = index.layer(diffId);
    if (blob === undefined) return undefined;
    const { layerStore, state } = this.#options;
    const { place } = index;
    const remote = remoteLayer(
      place,
      { diffId, blob },
      {
        proven: () => state.putLayer({ diffId, ...blob }),
        failed: (error) => this.#fail(place, error),
      },
    );
    const layer = layerStore.fromRemote(diffId, this.#options.shown(remote, place));
    this.#layers.set(diffId, layer);
    this.#from.set(layer, place);
    return layer;
  }

  async #read(place: CachePlace): Promise<RemoteIndex | undefined> {
    const { signal } = this.#options;
    try {
      return await this.#options.step(`importing ${place.name}`, async () => {
        const index = await readRemote(place, signal);
        if (index === undefined) throw new BuildError('IMAGE_NOT_FOUND', 'there is no cache yet');
        return index;
      });
    } catch (error) {
      signal.throwIfAborted();
      this.#warn(`${place.name} is not used`, error);
      return undefined;
    }
  }

  #fail(place: CachePlace, error: unknown): void {
    if (this.#broken.has(place)) return;
    this.#broken.add(place);
    this.#layers.clear();
    this.#warn(`${place.name} is not used any more, and its steps are run here`, error);
  }

  #warn(what: string, error: unknown): void {
    const { emit } = this.#options;
    emit({ type: 'diagnostic', diagnostic: cacheWarning(what, error) });
  }

  /** What was found elsewhere is known here from now on, as long as its layers are. */
  #keep(index: RemoteIndex, { stack, components: name, ...record }: RemoteRecord): void {
    const { state } = this.#options;
    const explained = name === undefined ? undefined : index.components(name);
    const packed = explained === undefined ? undefined : packComponents(explained);
    if (packed !== undefined) state.putComponents(packed.digest, packed.data);
    const result = stack.map(([diffId, created]): StackItem => [diffId, created]);
    state.putCacheRecord({ ...record, components: packed?.digest, result });
  }
}

/** What is told of a cache that does not work: a build never fails for it. */
export function cacheWarning(
  what: string,
  error: unknown,
): { readonly severity: 'warning'; readonly rule: string; readonly message: string; readonly hint?: string } {
  const message = `the ${what}: ${error instanceof Error ? error.message : String(error)}`;
  const hint = error instanceof BuildError ? error.hint : undefined;
  return { severity: 'warning', rule: 'RemoteCache', message, ...(hint === undefined ? {} : { hint }) };
}

function nearRecord(index: RemoteIndex, record: RemoteRecord): NearRecord {
  const { key, opKey, inputs, name, place, components } = record;
  return {
    ...{ key, opKey, inputs, name, place },
    components: () => (components === undefined ? undefined : index.components(components)),
  };
}
