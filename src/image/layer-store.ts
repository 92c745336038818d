import { createHash, randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { lutimes } from '../host/syscalls.ts';
import type { Digest } from '../oci/digest.ts';
import type { BlobStore } from '../store/blob-store.ts';
import { storeError } from '../store/store-error.ts';
import { BuildError } from '../util/build-error.ts';
import { removeTree } from '../util/remove-tree.ts';
import type { ByteStream } from '../util/streams.ts';
import type { CompressOptions } from './compression.ts';
import type { DiffOptions } from './diff.ts';
import { overlayDiff } from './diff.ts';
import type { Entry, EntryStream } from './entry.ts';
import { baseName } from './entry-path.ts';
import { LayerForms } from './layer-forms.ts';
import { IndexBuilder } from './layer-index.ts';
import type { Layer } from './layer.ts';
import type { StoredLayer } from './stored-layer.ts';
import { createStoredLayer } from './stored-layer.ts';
import { writeTar } from './tar.ts';
import { writeHashed } from './write-file.ts';

export type { StoredLayer } from './stored-layer.ts';

/** A compressed blob of a layer. */
export interface BlobRecord {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

/** Which blob holds which layer; survives the process. */
export interface LayerTable {
  get(diffId: Digest): BlobRecord | undefined;
  set(diffId: Digest, record: BlobRecord): void;
}

export interface LayerStoreOptions {
  /** The store's directory. Layers are in `layers/<hex of the diffId>/`, unfinished work in `tmp/`. */
  readonly root: string;
  readonly blobs: BlobStore;
  readonly table: LayerTable;
  /** How blobs of new layers are made. Layers that have a blob keep it. Default: gzip. */
  readonly compression?: CompressOptions;
  /** Gives a directory on the store's filesystem for unfinished work. Default: `tmp` of the root. */
  readonly tempDir?: () => Promise<string>;
  /**
   * Which ids this process has, where it is in a user namespace. Directories are kept apart from those of others then, and of what is made
   * from one a tar is kept too: whoever reads it outside could not read the files.
   */
  readonly ids?: string | undefined;
  /** Asked before a form that is there is relied on, with its directory; false: it has just been removed. */
  readonly keep?: ((path: string) => boolean) | undefined;
}

export interface NewLayerOptions {
  /** Later mtimes become this one, nanoseconds. */
  readonly clampMtime?: bigint | undefined;
  /** Of `fromDirectory`: whom a file belongs to, where its inode does not say. */
  readonly ownerOf?: DiffOptions['ownerOf'];
  /** Sees all that will be in the layer; an error that it throws at the end leaves no layer. */
  readonly watch?: ((entries: EntryStream) => EntryStream) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Where a layer is: in forms of its own, or in a blob of the store. Plain data, for other processes. */
export interface LocatedLayer {
  readonly diffId: Digest;
  readonly blob?: BlobRecord | undefined;
}

/** Layers in the local store, in whatever form they are there. Processes share one store: forms appear whole, by rename. */
export interface LayerStore {
  /** Keeps the entries as a new layer: one pass that writes its tar, hashes it, and indexes it. */
  fromEntries(entries: EntryStream, options?: NewLayerOptions): Promise<StoredLayer>;
  /** Keeps an overlayfs upper directory as a new layer and takes it away from there: it is moved, or removed when the layer is
   * known. It must be on the store's filesystem. With `clampMtime` the files themselves get the earlier times. */
  fromDirectory(upper: string, options?: NewLayerOptions): Promise<StoredLayer>;
  /** A layer from elsewhere. Nothing is fetched before it is read; then its blob is fetched into the store, once. */
  fromRemote(diffId: Digest, layer: Layer): StoredLayer;
  /** A layer that another process has located in this store. */
  open(located: LocatedLayer): StoredLayer;
  /** undefined when no form from which the layer can be had is local. */
  get(diffId: Digest): StoredLayer | undefined;
}

export function createLayerStore(options: LayerStoreOptions): LayerStore {
  const tempDir = options.tempDir ?? ((): Promise<string> => defaultTempDir(options.root));
  const formsOf = new Map<Digest, LayerForms>();
  const local = new Map<Digest, StoredLayer>();

  const forms = (diffId: Digest): LayerForms => {
    const known = formsOf.get(diffId) ?? new LayerForms(diffId, options);
    formsOf.set(diffId, known);
    return known;
  };
  const layerOf = (diffId: Digest): StoredLayer => {
    const known = local.get(diffId) ?? createStoredLayer({ ...options, tempDir, forms: forms(diffId) });
    local.set(diffId, known);
    return known;
  };

  return {
    fromEntries: async (given, { clampMtime, watch = same, signal } = {}) => {
      const entries = watch(given);
      const file = join(await tempDir(), `${randomUUID()}.tar`);
      const index = new IndexBuilder();
      try {
        const tar = writeTar(index.watch(ordinaryNames(entries)), { clampMtime, onEntry: index.onEntry });
        const diffId = await writeHashed(tar, file, signal);
        const target = forms(diffId);
        target.adoptTar(file);
        target.saveIndex(index.finish());
        return layerOf(diffId);
      } catch (error) {
        rmSync(file, { force: true });
        throw isSystemError(error) ? storeError(error, 'writing a layer') : error;
      }
    },
    fromDirectory: async (upper, { clampMtime, ownerOf, watch = same, signal } = {}) => {
      const index = new IndexBuilder();
      // What the layer leaves out must not stay in the directory either, or steps would see it.
      const entries = clamped(
        overlayDiff(upper, { ownerOf, onSocket: (path) => rmSync(path) }),
        upper,
        clampMtime,
      );
      const tar = writeTar(index.watch(ordinaryNames(watch(entries))), {
        clampMtime,
        onEntry: index.onEntry,
      });
      const file = options.ids === undefined ? undefined : join(await tempDir(), `${randomUUID()}.tar`);
      const diffId = await (file === undefined ? hashed(tar, signal) : writeHashed(tar, file, signal));
      const target = forms(diffId);
      try {
        if (file !== undefined) target.adoptTar(file);
        target.saveIndex(index.finish());
        if (!target.adoptDirectory(upper, { canonical: true })) await removeTree(upper);
      } catch (error) {
        throw isSystemError(error) ? storeError(error, 'keeping a layer') : error;
      }
      return layerOf(diffId);
    },
    fromRemote: (diffId, remote) => createStoredLayer({ ...options, tempDir, forms: forms(diffId), remote }),
    open: ({ diffId, blob }) =>
      blob === undefined
        ? layerOf(diffId)
        : createStoredLayer({
            ...{ ...options, tempDir, forms: forms(diffId) },
            remote: storedBlob(diffId, blob, options.blobs),
          }),
    get: (diffId) => {
      const layer = layerOf(diffId);
      return layer.hasLocal() ? layer : undefined;
    },
  };
}

function storedBlob(diffId: Digest, { mediaType, digest, size }: BlobRecord, blobs: BlobStore): Layer {
  return {
    mediaType: () => Promise.resolve(mediaType),
    digest: () => Promise.resolve(digest),
    size: () => Promise.resolve(size),
    diffId: () => Promise.resolve(diffId),
    compressed: (options = {}) => blobs.open(digest, options),
    uncompressed: () => {
      throw new TypeError('read through the layer store');
    },
  };
}

async function hashed(bytes: ByteStream, signal?: AbortSignal): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const chunk of bytes) {
    signal?.throwIfAborted();
    hash.update(chunk);
  }
  return `sha256:${hash.digest('hex')}`;
}

function same(entries: EntryStream): EntryStream {
  return entries;
}

async function defaultTempDir(root: string): Promise<string> {
  const path = join(root, 'tmp');
  await mkdir(path, { recursive: true, mode: 0o700 });
  return path;
}

/** A file called `.wh.x` would be taken for a whiteout by whoever unpacks the layer (OCI image-spec, layer.md "Whiteouts"). */
async function* ordinaryNames(entries: EntryStream): AsyncGenerator<Entry> {
  for await (const entry of entries) {
    if (baseName(entry.path).startsWith('.wh.')) {
      throw new BuildError(
        'COPY_INVALID',
        `\`/${entry.path}\` cannot be in an image: names that start with .wh. mark removed files`,
        {
          hint: 'rename the file, or leave it out',
        },
      );
    }
    yield entry;
  }
}

async function* clamped(
  entries: EntryStream,
  root: string,
  latest: bigint | undefined,
): AsyncGenerator<Entry> {
  for await (const entry of entries) {
    if (latest !== undefined && entry.mtime > latest) lutimes(`${root}/${entry.path}`, latest, latest);
    yield entry;
  }
}

function isSystemError(error: unknown): boolean {
  return !(error instanceof BuildError) && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}
