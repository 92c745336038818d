import pLimit from 'p-limit';
import type { CachePlace } from '../cache/place.ts';
import { RemoteCaches, cacheWarning } from '../cache/remote.ts';
import type { CacheToExport } from '../cache/remote-export.ts';
import type { InlineStep } from '../cache/remote-format.ts';
import { encodeInline, inlineKey } from '../cache/remote-format.ts';
import { checkLevel } from '../image/compression.ts';
import type { LayerStore } from '../image/layer-store.ts';
import type { Digest } from '../oci/digest.ts';
import type { Compression } from '../oci/media-type.ts';
import { BuildError } from '../util/build-error.ts';
import type { JsonValue } from '../util/canonical-json.ts';
import type { BaseImages, Origin } from './base-images.ts';
import { collectRecords } from './cache-records.ts';
import { CachePlaces } from './cache-places.ts';
import { internalStep } from './internal-step.ts';
import type { Plan } from './plan.ts';
import { withPullProgress } from './pull-progress.ts';
import type { ResultLayer } from './result.ts';
import type { Session } from './session.ts';
import type { BuildOptions, CacheExport, OutputOption } from './types.ts';

export interface RemoteSurroundings {
  readonly session: Session;
  readonly layerStore: LayerStore;
  readonly bases: BaseImages;
  readonly plan: Plan;
}

type Exported = Exclude<CacheExport, { readonly type: 'inline' }>;

/** Blobs on their way at once. */
const parallel = 4;

/** What one build takes from and gives to other machines. Dispose it after the build. */
export class BuildCaches implements AsyncDisposable {
  /** undefined: the build takes nothing. */
  readonly imports: RemoteCaches | undefined;
  readonly #surroundings: RemoteSurroundings;
  readonly #places: CachePlaces;
  readonly #exports: readonly { readonly place: CachePlace; readonly to: Exported }[];
  readonly #inline: boolean;

  private constructor(
    surroundings: RemoteSurroundings,
    opened: {
      readonly places: CachePlaces;
      readonly imports: readonly CachePlace[];
      readonly exports: readonly { readonly place: CachePlace; readonly to: Exported }[];
      readonly inline: boolean;
    },
  ) {
    const { session, layerStore } = surroundings;
    const { store, emit, signal } = session;
    this.#surroundings = surroundings;
    this.#places = opened.places;
    this.#exports = opened.exports;
    this.#inline = opened.inline;
    this.imports =
      opened.imports.length === 0
        ? undefined
        : new RemoteCaches({
            ...{ places: opened.imports, layerStore, state: store.state, emit, signal },
            step: (name, work) => internalStep(emit, name, work),
            shown: (layer, place) => withPullProgress([layer], place.name, emit)[0] ?? layer,
          });
  }

  /** Checks what was asked for, and asks nobody yet. Throws USAGE and REFERENCE_INVALID; what this host lacks is a warning. */
  static async open(options: BuildOptions, surroundings: RemoteSurroundings): Promise<BuildCaches> {
    const { session, plan } = surroundings;
    await using held = new AsyncDisposableStack();
    const places = held.use(new CachePlaces(session, plan.platform));
    const open = async (place: Parameters<CachePlaces['open']>[0]): Promise<CachePlace | undefined> => {
      try {
        return await places.open(place);
      } catch (error) {
        const isWrong = !(error instanceof BuildError) || error.code !== 'UNSUPPORTED_HERE';
        if (isWrong || ('ignoreError' in place && place.ignoreError === false)) throw error;
        warn(session, `cache of type=${place.type} is not used`, error);
        return undefined;
      }
    };
    const imports: CachePlace[] = [];
    // With --no-cache nothing is looked up.
    for (const from of options.noCache === true ? [] : (options.cacheFrom ?? [])) {
      const place = await open(from);
      if (place !== undefined) imports.push(place);
    }
    const exports: { place: CachePlace; to: Exported }[] = [];
    let inline = options.buildArgs?.['BUILDKIT_INLINE_CACHE'] === '1';
    for (const to of options.cacheTo ?? []) {
      if (to.type === 'inline') inline = true;
      else {
        checkExport(to);
        const place = await open(to);
        if (place !== undefined) exports.push({ place, to });
      }
    }
    held.move();
    return new BuildCaches(surroundings, { places, imports, exports, inline });
  }

  /** Further keys of the image's config: with an inline cache, the keys of the steps that made its layers. */
  configKeys(
    keys: ReadonlyMap<Digest, Digest>,
    layers: readonly ResultLayer[],
  ): Readonly<Record<string, JsonValue>> {
    if (!this.#inline) return {};
    const { image, lowered } = this.#surroundings.plan;
    const kinds = new Map(lowered.definition.vertices.map(({ digest, op }) => [digest, op.kind]));
    const vertices = image.history.flatMap(({ vertex }) => vertex ?? []);
    const base = layers.length - vertices.length;
    const steps = vertices.flatMap((vertex, at): InlineStep[] => {
      const [key, kind] = [keys.get(vertex), kinds.get(vertex)];
      return key === undefined || kind === undefined ? [] : [{ key, kind, layers: base + at + 1 }];
    });
    return { [inlineKey]: encodeInline(base, steps) };
  }

  /** Fetches what the outputs will read, side by side: before the first of them is written. */
  async fetch(layers: readonly ResultLayer[], outputs: readonly OutputOption[]): Promise<void> {
    const { imports } = this;
    const { signal } = this.#surroundings.session;
    if (imports === undefined) return;
    if (outputs.every(({ type }) => type === 'registry' || type === 'cacheonly')) return;
    const limit = pLimit(parallel);
    const needed = layers.filter(({ layer }) => imports.isRemote(layer));
    const all = needed.map(({ layer }) => limit(() => layer.storeBlob({ signal })));
    await Promise.allSettled(all);
    await Promise.all(all);
  }

  /** Where layers can be mounted from when they are pushed to the same registry. */
  origins(layers: readonly ResultLayer[]): ReadonlyMap<Digest, Origin> {
    const { bases } = this.#surroundings;
    const found = layers.flatMap(({ layer }) => {
      const origin = this.imports?.repositoryOf(layer);
      return origin === undefined ? [] : [[layer.knownDiffId, origin] as const];
    });
    return new Map([...found, ...bases.origins]);
  }

  /** Writes each cache that was asked for. A failure is a warning, unless `ignoreError` is false. */
  async export(keys: ReadonlyMap<Digest, Digest>): Promise<void> {
    for (const { place, to } of this.#exports) {
      const { session } = this.#surroundings;
      try {
        await internalStep(session.emit, `exporting ${place.name}`, (id) =>
          this.#write(place, to, { keys, id }),
        );
      } catch (error) {
        session.signal.throwIfAborted();
        if (to.ignoreError === false) throw error;
        warn(session, `${place.name} was not written`, error);
      }
    }
  }

  async #write(
    place: CachePlace,
    to: Exported,
    { keys, id }: { readonly keys: ReadonlyMap<Digest, Digest>; readonly id: string },
  ): Promise<void> {
    const { session, plan, layerStore } = this.#surroundings;
    const { emit, signal } = session;
    const { writeRemote } = await import('../cache/remote-export.ts');
    const all = [...keys.values()];
    const image = new Set([
      plan.lowered.definition.target,
      ...plan.image.history.map(({ vertex }) => vertex),
    ]);
    const wanted =
      to.mode === 'max' ? all : [...keys].filter(([vertex]) => image.has(vertex)).map(([, key]) => key);
    const found = await collectRecords(wanted, { ...this.#surroundings, imports: this.imports });
    const compressed = compressionOf(to, session) ?? layerStore;
    const layers = new Map<
      Digest,
      CacheToExport['layers'] extends ReadonlyMap<Digest, infer L> ? L : never
    >();
    for (const [diffId, layer] of found.layers) {
      if (to.forceCompression === true && !layer.hasLocal()) await layer.storeBlob({ signal });
      layers.set(diffId, compressed.get(diffId) ?? layer);
    }
    const oci = to.ociMediaTypes !== false;
    await writeRemote(
      place,
      { ...found, layers, imageManifest: to.imageManifest ?? oci, mediaTypes: oci ? 'oci' : 'docker' },
      { id, emit, signal },
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#places[Symbol.asyncDispose]();
  }
}

/** Another view on the store's layers, where blobs are asked for that the outputs of the build did not ask for. */
function compressionOf(to: Exported, session: Session): LayerStore | undefined {
  const { compression, compressionLevel: level, forceCompression: force = false } = to;
  if (compression === undefined && level === undefined && !force) return undefined;
  return session.layerStore(
    { type: typeOf(compression), ...(level === undefined ? {} : { level }) },
    () => !force,
  );
}

function typeOf(compression: Exported['compression']): Compression {
  return compression === 'uncompressed' ? 'none' : (compression ?? 'gzip');
}

function checkExport(to: Exported): void {
  checkLevel(typeOf(to.compression), to.compressionLevel);
  if (to.imageManifest === true && to.ociMediaTypes === false)
    throw new BuildError('USAGE', 'image-manifest=true and oci-mediatypes=false exclude each other', {
      hint: 'leave out one of them',
    });
}

function warn({ emit }: Session, what: string, error: unknown): void {
  emit({ type: 'diagnostic', diagnostic: cacheWarning(what, error) });
}
