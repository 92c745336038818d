import pLimit from 'p-limit';
import type { Layer } from '../image/layer.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { mediaType } from '../oci/media-type.ts';
import type { Emit } from '../progress/event.ts';
import { streamOf } from '../util/streams.ts';
import type { CachePlace } from './place.ts';
import type { RecordsDocument } from './remote-format.ts';
import {
  cacheConfigType,
  describe,
  diffIdAnnotation,
  encodeCacheConfig,
  encodeRecords,
  recordsType,
} from './remote-format.ts';

export interface CacheToExport extends RecordsDocument {
  /** By diffId, all that the records name but layers of base images: whoever builds on those has them from elsewhere. */
  readonly layers: ReadonlyMap<Digest, Layer>;
  /** One manifest, or an index. */
  readonly imageManifest: boolean;
  readonly mediaTypes: 'oci' | 'docker';
}

/** Blobs on their way at once. */
const parallel = 4;

/** Writes a cache: blobs that are missing there, then the config and the records, last the document that names them. */
export async function writeRemote(
  place: CachePlace,
  cache: CacheToExport,
  { id, emit, signal }: { readonly id: string; readonly emit: Emit; readonly signal: AbortSignal },
): Promise<void> {
  const limit = pLimit(parallel);
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const sent = new Map<Digest, Promise<void>>();
  const send = async (diffId: Digest, layer: Layer): Promise<readonly [Digest, Descriptor]> =>
    limit(async () => {
      both.throwIfAborted();
      const [digest, size, type] = await Promise.all([layer.digest(), layer.size(), layer.mediaType()]);
      const name = `caching ${digest.slice(7, 19)}`;
      const tell = (current: number, done: boolean): void =>
        emit({ type: 'transfer', id, name, current, total: size, done, time: Date.now() });
      const sending =
        sent.get(digest) ??
        place.keepBlob(
          { digest, size, open: () => layer.compressed({ signal: both }) },
          { signal: both, onProgress: (bytes) => tell(bytes, bytes >= size) },
        );
      sent.set(digest, sending);
      await sending;
      return [diffId, { mediaType: type, digest, size, annotations: { [diffIdAnnotation]: diffId } }];
    });
  const sends = [...cache.layers].map(([diffId, layer]) => send(diffId, layer));
  let blobs: ReadonlyMap<Digest, Descriptor>;
  try {
    blobs = new Map(await Promise.all(sends));
  } catch (error) {
    // The first failure ends the others; what they threw then says nothing.
    stop.abort(error);
    await Promise.allSettled(sends);
    throw error;
  }
  const chains = cache.records.map(({ stack }) => stack.flatMap(([diffId]) => blobs.get(diffId) ?? []));
  const config = encodeCacheConfig(chains);
  const records = encodeRecords(cache);
  const parts = [describe(config, cacheConfigType), describe(records, recordsType)] as const;
  for (const [blob, bytes] of [
    [parts[0], config],
    [parts[1], records],
  ] as const)
    await place.keepBlob({ ...blob, open: () => streamOf(bytes) }, { signal });
  await place.putManifest(manifestOf(cache, parts, [...blobs.values()]), { signal });
}

function manifestOf(
  { imageManifest, mediaTypes }: CacheToExport,
  [config, records]: readonly [Descriptor, Descriptor],
  layers: readonly Descriptor[],
): { readonly mediaType: string; readonly bytes: Uint8Array } {
  const [manifest, index] =
    mediaTypes === 'oci'
      ? [mediaType.ociManifest, mediaType.ociIndex]
      : [mediaType.dockerManifest, mediaType.dockerList];
  const type = imageManifest ? manifest : index;
  const parts = [...layers, records];
  const document = imageManifest ? { config, layers: parts } : { manifests: [...parts, config] };
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: type, ...document }));
  return { mediaType: type, bytes };
}
