import { decodeDocument } from '../oci/decode.ts';
import { configLimit } from '../oci/decode.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { isDigest } from '../oci/digest.ts';
import { layerCompression, mediaType } from '../oci/media-type.ts';
import { verified } from '../image/verify.ts';
import { BuildError } from '../util/build-error.ts';
import { readAll } from '../util/streams.ts';
import type { KeyComponents } from '../graph/key-components.ts';
import type { CachePlace } from './place.ts';
import type { RecordsDocument, RemoteRecord } from './remote-format.ts';
import {
  cacheConfigType,
  decodeInline,
  decodeRecords,
  diffIdAnnotation,
  invalid,
  recordsLimit,
  recordsType,
} from './remote-format.ts';

/** What a remote cache knows. Its layers are still where they were. */
export interface RemoteIndex {
  readonly place: CachePlace;
  readonly size: number;
  record(key: Digest): RemoteRecord | undefined;
  /** In the order of the cache. */
  recordsOfOp(opKey: Digest): readonly RemoteRecord[];
  recordsAtPlace(place: string): readonly RemoteRecord[];
  components(digest: Digest): KeyComponents | undefined;
  layer(diffId: Digest): Descriptor | undefined;
}

/**
 * Reads what a cache has: its manifest and its records, no layer. undefined: there is no cache. Throws IMAGE_INVALID for what is no cache
 * of ours, and what the place throws.
 */
export async function readRemote(place: CachePlace, signal: AbortSignal): Promise<RemoteIndex | undefined> {
  const found = await place.readManifest({ signal });
  if (found === undefined) return undefined;
  const document = decodeDocument(found.bytes, found.mediaType);
  const read = async (blob: Descriptor, limit: number): Promise<Uint8Array> => {
    if (blob.size > limit) throw invalid(`${blob.mediaType} has ${blob.size} bytes`);
    return readAll(verified(place.openBlob(blob, { signal }), blob), limit);
  };
  if (document.kind === 'manifest') {
    const { config, layers } = document.manifest;
    if (config.mediaType === cacheConfigType) return indexOf(place, await recordsAmong(layers, read), layers);
    if (config.mediaType === mediaType.ociConfig || config.mediaType === mediaType.dockerConfig)
      return inlineIndex(place, await read(config, configLimit), layers);
    throw invalid(`its config has the media type ${config.mediaType}`);
  }
  const parts = document.index.manifests;
  if (!parts.some((part) => part.mediaType === cacheConfigType)) throw invalid('it is no cache');
  return indexOf(place, await recordsAmong(parts, read), parts);
}

async function recordsAmong(
  parts: readonly Descriptor[],
  read: (blob: Descriptor, limit: number) => Promise<Uint8Array>,
): Promise<RecordsDocument> {
  const blob = parts.find((part) => part.mediaType === recordsType);
  if (blob !== undefined) return decodeRecords(await read(blob, recordsLimit));
  throw ofBuildKit('it is a cache of BuildKit');
}

/** Its records are found by digests of BuildKit's own graph (LLB): which layers belong to which of our steps they do not say. */
function ofBuildKit(what: string): BuildError {
  return new BuildError('IMAGE_INVALID', `${what}, whose records say nothing to other builders`, {
    hint: 'write one with --cache-to under another name: each tool can have its own',
  });
}

function inlineIndex(place: CachePlace, config: Uint8Array, layers: readonly Descriptor[]): RemoteIndex {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(config).toString());
  } catch {
    throw invalid('its config is no JSON');
  }
  const records = decodeInline(value);
  if (records === undefined) {
    if (Object.hasOwn(value as object, 'moby.buildkit.cache.v0'))
      throw ofBuildKit('the image has an inline cache of BuildKit');
    throw new BuildError('IMAGE_INVALID', 'the image has no inline cache', {
      hint: 'build it with --cache-to type=inline',
    });
  }
  const { diff_ids: diffIds } = (value as { rootfs: { diff_ids: readonly string[] } }).rootfs;
  if (diffIds.length !== layers.length) throw invalid('the image has other layers than its config says');
  const annotated = layers.map((layer, at) => ({
    ...layer,
    annotations: { [diffIdAnnotation]: diffIds[at] ?? '' },
  }));
  return indexOf(place, { records, components: new Map() }, annotated);
}

function indexOf(
  place: CachePlace,
  { records, components }: RecordsDocument,
  parts: readonly Descriptor[],
): RemoteIndex {
  const layers = new Map<Digest, Descriptor>();
  for (const { mediaType: type, digest, size, annotations } of parts) {
    const diffId = annotations?.[diffIdAnnotation] ?? '';
    if (!isDigest(diffId) || layers.has(diffId) || layerCompression(type) === undefined) continue;
    layers.set(diffId, { mediaType: type, digest, size });
  }
  const byKey = new Map(records.toReversed().map((record) => [record.key, record]));
  const byOp = Map.groupBy(records, ({ opKey }) => opKey);
  const byPlace = Map.groupBy(records, (record) => record.place);
  return {
    place,
    size: records.length,
    record: (key) => byKey.get(key),
    recordsOfOp: (opKey) => byOp.get(opKey) ?? [],
    recordsAtPlace: (at) => byPlace.get(at) ?? [],
    components: (digest) => components.get(digest),
    layer: (diffId) => layers.get(diffId),
  };
}
