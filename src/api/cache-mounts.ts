import type { CacheMountBlob } from '../cache/mounts-format.ts';
import { cacheMountType, decodeCacheMounts, emptyConfig, encodeCacheMounts } from '../cache/mounts-format.ts';
import type { CachePlace } from '../cache/place.ts';
import { hasCacheDirectory } from '../executor/cache-mounts.ts';
import type { Definition } from '../graph/definition.ts';
import type { ExecOp } from '../graph/op.ts';
import type { Platform } from '../oci/platform.ts';
import { digestOf } from '../oci/digest.ts';
import { streamOf } from '../util/streams.ts';
import { CachePlaces } from './cache-places.ts';
import { internalStep } from './internal-step.ts';
import type { Session } from './session.ts';
import type { Steps } from './steps/steps.ts';
import type { BuildOptions } from './types.ts';

/** Cache mounts from and for other machines (`--cache-mounts-from`, `--cache-mounts-to`). What fails is a warning. Dispose it after the build. */
export class BuildCacheMounts implements AsyncDisposable {
  readonly #session: Session;
  readonly #places: CachePlaces;
  readonly #imports: readonly CachePlace[];
  readonly #exports: readonly CachePlace[];
  readonly #known = new Map<CachePlace, Promise<ReadonlyMap<string, CacheMountBlob>>>();
  readonly #filled = new Map<string, Promise<void>>();

  private constructor(
    session: Session,
    opened: {
      readonly places: CachePlaces;
      readonly imports: readonly CachePlace[];
      readonly exports: readonly CachePlace[];
    },
  ) {
    this.#session = session;
    this.#places = opened.places;
    this.#imports = opened.imports;
    this.#exports = opened.exports;
  }

  /** Asks nobody yet. Throws USAGE and REFERENCE_INVALID. */
  static async open(options: BuildOptions, session: Session, platform: Platform): Promise<BuildCacheMounts> {
    await using held = new AsyncDisposableStack();
    const places = held.use(new CachePlaces(session, platform));
    const imports: CachePlace[] = [];
    for (const place of options.cacheMountsFrom ?? []) imports.push(await places.open(place));
    const exports: CachePlace[] = [];
    for (const place of options.cacheMountsTo ?? []) exports.push(await places.open(place));
    held.move();
    return new BuildCacheMounts(session, { places, imports, exports });
  }

  /** Before a step runs: fills those of its cache mounts that have never been used here. Each is tried once. */
  async fill(op: ExecOp, steps: Steps): Promise<void> {
    if (this.#imports.length === 0) return;
    for (const id of idsOf([op])) {
      let filled = this.#filled.get(id);
      if (filled === undefined) this.#filled.set(id, (filled = this.#fill(id, steps)));
      await filled;
    }
  }

  /** After the build: keeps all cache mounts that its steps have. */
  async export({ vertices }: Definition, steps: () => Promise<Steps>): Promise<void> {
    if (this.#exports.length === 0) return;
    const { store, emit, signal } = this.#session;
    const ops = vertices.flatMap(({ op }) => (op.kind === 'exec' ? [op] : []));
    const ids = idsOf(ops).filter((id) => hasCacheDirectory(store.root, id));
    if (ids.length === 0) return;
    await this.#attempt('cache mounts were not written', async () => {
      const mounts: CacheMountBlob[] = [];
      for (const id of ids) {
        const kept = await internalStep(emit, `reading cache mount ${id}`, async () =>
          (await steps()).keepCache(id, signal),
        );
        if (kept !== undefined) mounts.push({ id, ...kept });
      }
      for (const place of this.#exports)
        await internalStep(emit, `exporting cache mounts to ${place.name}`, () => this.#write(place, mounts));
    });
  }

  async #write(place: CachePlace, mounts: readonly CacheMountBlob[]): Promise<void> {
    const { store, signal } = this.#session;
    for (const { digest, size } of mounts)
      await place.keepBlob({ digest, size, open: () => store.blobs.open(digest, { signal }) }, { signal });
    const config = { digest: digestOf(emptyConfig), size: emptyConfig.length };
    await place.keepBlob({ ...config, open: () => streamOf(emptyConfig) }, { signal });
    await place.putManifest(encodeCacheMounts(mounts), { signal });
  }

  async #fill(id: string, steps: Steps): Promise<void> {
    const { store, emit, signal } = this.#session;
    if (hasCacheDirectory(store.root, id)) return;
    for (const place of this.#imports) {
      const isDone = await this.#attempt(`cache mount ${id} was not read`, async () => {
        const found = (await this.#read(place)).get(id);
        if (found === undefined) return false;
        await internalStep(emit, `importing cache mount ${id} from ${place.name}`, async () => {
          const { digest, size } = found;
          const descriptor = { mediaType: cacheMountType, digest, size };
          if (!store.blobs.has(digest))
            await store.blobs.put(place.openBlob(descriptor, { signal }), { digest, size }, signal);
          await steps.fillCache(id, found, signal);
        });
        return true;
      });
      if (isDone === true) return;
    }
  }

  #read(place: CachePlace): Promise<ReadonlyMap<string, CacheMountBlob>> {
    const { signal } = this.#session;
    const known =
      this.#known.get(place) ??
      place
        .readManifest({ signal })
        .then((manifest) =>
          manifest === undefined ? new Map<string, CacheMountBlob>() : decodeCacheMounts(manifest),
        );
    this.#known.set(place, known);
    return known;
  }

  /** Without them a build is slower, not wrong. */
  async #attempt<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    const { signal, emit } = this.#session;
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      const message = `${what}: ${error instanceof Error ? error.message : String(error)}`;
      emit({ type: 'diagnostic', diagnostic: { severity: 'warning', rule: 'CacheMounts', message } });
      return undefined;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#places[Symbol.asyncDispose]();
  }
}

/** The ids of all cache mounts, each once, in order. */
function idsOf(ops: readonly ExecOp[]): readonly string[] {
  const ids = ops.flatMap(({ mounts }) =>
    mounts.flatMap((mount) => (mount.type === 'cache' ? [mount.id] : [])),
  );
  return [...new Set(ids)].toSorted();
}
