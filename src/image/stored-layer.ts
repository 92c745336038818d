import { randomUUID } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../oci/digest.ts';
import type { Compression } from '../oci/media-type.ts';
import { layerCompression, mediaType } from '../oci/media-type.ts';
import type { BlobStore } from '../store/blob-store.ts';
import { storeError } from '../store/store-error.ts';
import { BuildError } from '../util/build-error.ts';
import { removeTree } from '../util/remove-tree.ts';
import { againIfSpoilt } from '../util/spoilt.ts';
import type { ByteStream } from '../util/streams.ts';
import type { Tapped } from '../util/tap.ts';
import { tapped } from '../util/tap.ts';
import { applyEntries } from './apply.ts';
import type { CompressOptions } from './compression.ts';
import { compress, decompress } from './compression.ts';
import { overlayDiff } from './diff.ts';
import type { Entry } from './entry.ts';
import { fileContent } from './file-content.ts';
import type { LayerForms } from './layer-forms.ts';
import type { IndexedEntry, LayerIndex } from './layer-index.ts';
import { impliesDirectories, IndexBuilder } from './layer-index.ts';
import type { BlobRecord, LayerTable, LocatedLayer } from './layer-store.ts';
import type { Layer, OpenOptions } from './layer.ts';
import type { LinkStat } from './root-path.ts';
import { resolveInRootSync } from './root-path.ts';
import { SharedTask } from './shared-task.ts';
import { readTar, writeTar } from './tar.ts';
import { observed, verified } from './verify.ts';
import { writeHashed } from './write-file.ts';

/** A layer of the local store, or one that will be there once somebody reads it. */
export interface StoredLayer extends Layer {
  /** Known without reading anything. */
  readonly knownDiffId: Digest;
  /** The unpacked directory in overlayfs form; unpacked on the first call, which needs root or a user namespace. Read-only. */
  directory(signal?: AbortSignal): Promise<string>;
  /** Entries without content. Made in one pass over the layer and kept. */
  index(signal?: AbortSignal): Promise<LayerIndex>;
  /**
   * Whether it may put something into directories without saying what they are, as archives do that name no parents. Known without reading
   * the layer where that was done before.
   */
  impliesDirectories(signal?: AbortSignal): Promise<boolean>;
  /**
   * Content of one file of this layer, by the path its entry has; verified. Of several entries with this path the last, or the one whose
   * content is at `offset`. Throws IMAGE_INVALID when there is none.
   */
  readFile(path: string, offset?: number): ByteStream;
  /** Whether the compressed blob is in the blob store. */
  hasBlob(): boolean;
  /** Whether it was made here: its blob, where it has none, is made and not fetched. */
  isNew(): boolean;
  /** Whether it can be had without fetching anything. */
  hasLocal(): boolean;
  /** Says where it is in the store, fetched if it has to be: what another process needs to read it. */
  locate(signal?: AbortSignal): Promise<LocatedLayer>;
  /**
   * The compressed bytes for whoever sends them on: those of the store; those of a layer that is elsewhere as they come, without being
   * kept; those of a new layer while its blob is made and kept. Verified, but for the last.
   */
  transit(options?: OpenOptions): ByteStream;
  /** Makes sure that the compressed blob is in the blob store: fetches or makes it. */
  storeBlob(options?: OpenOptions): Promise<void>;
}

interface Parts {
  readonly forms: LayerForms;
  readonly blobs: BlobStore;
  readonly table: LayerTable;
  readonly tempDir: () => Promise<string>;
  readonly compression?: CompressOptions | undefined;
  readonly remote?: Layer | undefined;
  readonly ids?: string | undefined;
}

const mediaTypes: Readonly<Record<Compression, string>> = {
  none: mediaType.ociLayer,
  gzip: mediaType.ociLayerGzip,
  zstd: mediaType.ociLayerZstd,
};

export function createStoredLayer(parts: Parts): StoredLayer {
  const { forms, blobs, table, remote } = parts;
  const { diffId } = forms;
  let descriptor: BlobRecord | undefined;
  const listeners = new Set<(bytes: number) => void>();
  const blobTask = new SharedTask<void>();

  const present = (record: BlobRecord | undefined): BlobRecord | undefined =>
    record !== undefined && blobs.has(record.digest) ? record : undefined;
  /** The record of this layer's own blob when that is local. */
  const localBlob = (): BlobRecord | undefined =>
    present(remote === undefined ? table.get(diffId) : descriptor);
  /** A blob with the same content, perhaps of another compression: good for reading. */
  const readableBlob = (): BlobRecord | undefined => present(table.get(diffId)) ?? localBlob();
  const remoteRecord = async (layer: Layer): Promise<BlobRecord> =>
    (descriptor ??= {
      mediaType: await layer.mediaType(),
      digest: await layer.digest(),
      size: await layer.size(),
    });

  const fetchBlob = async (layer: Layer, signal: AbortSignal): Promise<void> => {
    const record = await remoteRecord(layer);
    const onProgress = (bytes: number): void => {
      for (const listener of listeners) listener(bytes);
    };
    const { digest, size } = record;
    await againIfSpoilt(() => blobs.put(layer.compressed({ signal, onProgress }), { digest, size }, signal));
  };
  const makeBlob = async (
    signal: AbortSignal,
    watch: (stream: ByteStream) => ByteStream = (stream) => stream,
  ): Promise<void> => {
    const compression = parts.compression ?? { type: 'gzip' };
    const made = compress(tarBytes({ signal }), compression);
    const { digest, size } = await blobs.put(watch(made), {}, signal);
    table.set(diffId, { mediaType: mediaTypes[compression.type], digest, size });
  };
  const storeBlob = async (options: OpenOptions = {}): Promise<BlobRecord> => {
    if (remote !== undefined) await remoteRecord(remote);
    const local = localBlob();
    if (local !== undefined) return local;
    const { onProgress, signal } = options;
    if (onProgress !== undefined) listeners.add(onProgress);
    try {
      const start = (inner: AbortSignal): Promise<void> =>
        remote === undefined ? makeBlob(inner) : fetchBlob(remote, inner);
      await blobTask.join(start, signal);
    } finally {
      if (onProgress !== undefined) listeners.delete(onProgress);
    }
    const made = localBlob();
    if (made === undefined)
      throw new BuildError('STORE_FAILED', `the blob of ${diffId} vanished from the store`);
    return made;
  };
  const record = async (): Promise<BlobRecord> => (remote === undefined ? storeBlob() : remoteRecord(remote));

  async function* transit(options: OpenOptions = {}): AsyncGenerator<Uint8Array> {
    if (remote !== undefined) await remoteRecord(remote);
    const local = localBlob();
    if (local !== undefined) yield* blobs.open(local.digest, options);
    else if (remote !== undefined) yield* remote.compressed(options);
    else {
      const taps: Tapped[] = [];
      const watch = (stream: ByteStream): ByteStream => {
        const tap = tapped(stream);
        taps.push(tap);
        return tap.main;
      };
      // Starts the work, unless somebody else has: then its blob is waited for. Whether it succeeds is seen at its end.
      const made = blobTask.join((signal) => makeBlob(signal, watch), options.signal);
      made.catch(() => undefined);
      const [tap] = taps;
      try {
        if (tap !== undefined) yield* observed(tap.side, options);
      } finally {
        tap?.leave();
      }
      await made;
      if (tap === undefined) yield* blobs.open((await storeBlob()).digest, options);
    }
  }

  /** The uncompressed tar from whatever is nearest, verified. */
  async function* tarBytes(options: OpenOptions = {}): AsyncGenerator<Uint8Array> {
    let blob: BlobRecord | undefined;
    const open = async (): Promise<ByteStream> => {
      if (forms.hasTar()) return fileContent(forms.tar);
      blob = readableBlob();
      if (blob === undefined && forms.hasCanonicalDirectory()) return writeTar(overlayDiff(forms.directory));
      if (blob === undefined && remote === undefined) {
        throw new BuildError('STORE_FAILED', `the store has lost the layer ${diffId}`, {
          hint: 'build again with --no-cache to make it anew',
        });
      }
      blob ??= await storeBlob({ signal: options.signal });
      const compression = layerCompression(blob.mediaType);
      if (compression === undefined) {
        throw new BuildError(
          'IMAGE_INVALID',
          `a layer has the media type ${blob.mediaType}, which cannot be read`,
        );
      }
      return decompress(blobs.open(blob.digest, { signal: options.signal }), compression);
    };
    const bytes = await open();
    try {
      yield* observed(verified(bytes, { digest: diffId }), options);
    } catch (error) {
      const isDamage = error instanceof BuildError && error.code === 'IMAGE_INVALID';
      if (!isDamage || blob !== undefined) throw error;
      forms.dropDamaged();
      throw new BuildError(
        'STORE_FAILED',
        `the layer ${diffId} of the store was damaged and has been dropped`,
        {
          hint: 'run the command again: what was lost is fetched or built anew; `tsbuild store check` looks for more',
          cause: error,
        },
      );
    }
    // Only now is it known that this blob holds this layer: before, an image could pass its blob off as that of another.
    if (blob !== undefined && present(table.get(diffId)) === undefined) table.set(diffId, blob);
  }

  /** One pass over all entries that also makes the index; nothing is kept unless the bytes were right. */
  const pass = async (
    consume: (entries: AsyncIterable<Entry>) => Promise<void>,
    signal: AbortSignal,
  ): Promise<LayerIndex> => {
    const builder = new IndexBuilder();
    await consume(
      builder.watch(readTar(tarBytes({ signal }), { whiteouts: true, onEntry: builder.onEntry })),
    );
    const index = builder.finish();
    forms.saveIndex(index);
    return index;
  };

  const makeIndex = (signal: AbortSignal): Promise<LayerIndex> =>
    pass(async (entries) => {
      for await (const entry of entries) void entry;
    }, signal);
  const index = async (signal?: AbortSignal): Promise<LayerIndex> =>
    forms.loadIndex() ?? forms.indexTask.join(makeIndex, signal);

  let implies: boolean | undefined;

  const overlayXattrs = parts.ids === undefined ? 'trusted' : 'user';
  const unpack = async (signal: AbortSignal): Promise<void> => {
    const temp = join(await parts.tempDir(), `${randomUUID()}.fs`);
    mkdirSync(temp);
    // Whatever the umask: it is what steps see of the root.
    chmodSync(temp, 0o755);
    try {
      await pass(
        (entries) => applyEntries(entries, temp, { form: 'overlay', overlayXattrs, signal }),
        signal,
      );
      if (forms.adoptDirectory(temp, { canonical: false })) return;
    } catch (error) {
      await removeTree(temp);
      throw systemError(error, 'unpacking a layer');
    }
    await removeTree(temp);
  };
  const directory = async (signal?: AbortSignal): Promise<string> => {
    if (!forms.hasDirectory()) await forms.directoryTask.join(unpack, signal);
    return forms.directory;
  };

  const materialise = async (signal: AbortSignal): Promise<void> => {
    const temp = join(await parts.tempDir(), `${randomUUID()}.tar`);
    try {
      await writeHashed(tarBytes({ signal }), temp, signal);
      forms.adoptTar(temp);
    } catch (error) {
      rmSync(temp, { force: true });
      throw systemError(error, 'writing a layer');
    }
  };
  let byPath: ReadonlyMap<string, IndexedEntry> | undefined;
  async function* readFile(path: string, offset?: number): AsyncGenerator<Uint8Array> {
    const { entries } = await index();
    byPath ??= new Map(entries.map((item) => [item.entry.path, item]));
    const last = byPath.get(path);
    const isReplaced = offset !== undefined && offset !== last?.offset;
    // It has another name yet: a hard link that was made before.
    const found = isReplaced ? entries.find((item) => item.offset === offset) : last;
    if (found?.entry.type !== 'file' || found.digest === undefined) {
      throw new BuildError('IMAGE_INVALID', `the layer has no file /${path}`);
    }
    const { size } = found.entry;
    if (size === 0) return;
    const part = { start: 0, size };
    if (!isReplaced && forms.hasDirectory()) {
      yield* verified(fileContent(onDisk(forms.directory, path), part), { digest: found.digest, size });
      return;
    }
    if (!forms.hasTar()) await forms.tarTask.join(materialise);
    yield* verified(fileContent(forms.tar, { ...part, start: found.offset }), { digest: found.digest, size });
  }

  return {
    knownDiffId: diffId,
    urls: remote?.urls,
    mediaType: async () => (await record()).mediaType,
    digest: async () => (await record()).digest,
    size: async () => (await record()).size,
    diffId: () => Promise.resolve(diffId),
    compressed: async function* (options = {}) {
      // Progress is that of the slow part: of fetching or making it, else of reading.
      const slow = localBlob() === undefined;
      const blob = await storeBlob(slow ? options : { signal: options.signal });
      yield* blobs.open(blob.digest, slow ? { signal: options.signal } : options);
    },
    uncompressed: (options = {}) => tarBytes(options),
    directory,
    index,
    impliesDirectories: async (signal) =>
      (implies ??= forms.impliesDirectories() ?? impliesDirectories(await index(signal))),
    readFile,
    hasBlob: () =>
      (remote === undefined || descriptor !== undefined ? localBlob() : readableBlob()) !== undefined,
    isNew: () => remote === undefined,
    hasLocal: () => readableBlob() !== undefined || forms.hasTar() || forms.hasCanonicalDirectory(),
    transit,
    locate: async (signal) => {
      if (forms.hasTar()) return { diffId };
      return { diffId, blob: readableBlob() ?? (await storeBlob({ signal })) };
    },
    storeBlob: async (options) => {
      await storeBlob(options);
    },
  };
}

/** Where a file of an unpacked layer is: a parent may be a link that the same layer has made. */
export function onDisk(root: string, path: string): string {
  const lstat = (part: string): LinkStat => {
    const stat = lstatSync(`${root}/${part}`, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    return stat.isSymbolicLink()
      ? { type: 'symlink', linkTarget: readlinkSync(`${root}/${part}`) }
      : { type: 'other' };
  };
  return `${root}/${resolveInRootSync({ lstat }, path, 'keep')}`;
}

function systemError(error: unknown, doing: string): unknown {
  if (error instanceof BuildError || typeof (error as NodeJS.ErrnoException).syscall !== 'string')
    return error;
  return storeError(error, doing);
}
