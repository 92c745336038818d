import { selectPlatform } from './select-platform.ts';
import { assembleIndex } from './mutate.ts';
import type { OpenOptions } from './layer.ts';
import { configLimit, decodeConfig, decodeDocument } from '../oci/decode.ts';
import type { Document } from '../oci/decode.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { isImageConfigType, mediaType } from '../oci/media-type.ts';
import type { Platform } from '../oci/platform.ts';
import { formatPlatform, normalizePlatform } from '../oci/platform.ts';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { readAll } from '../util/streams.ts';

/** A manifest or index as it is kept: the bytes decide, the document is a view of them. */
export interface RawDocument {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly document: Document;
}

/** Something that a name stands for, with all that hangs from it: an image, an index of images, an artifact. Bytes are verified. */
export interface DocumentSource {
  /** For messages. */
  readonly name: string;
  top(): Promise<RawDocument>;
  /** One that the documents above name. */
  document(descriptor: Descriptor): Promise<RawDocument>;
  blob(descriptor: Descriptor, options?: OpenOptions): ByteStream;
  /** Where a registry has the blobs: one that shares them between repositories need not be sent them. */
  readonly origin?: { readonly registry: string; readonly repository: string } | undefined;
}

/** Where documents are written to; each after all that it names. */
export interface DocumentTarget {
  /** Takes the blob unless it is there. `open` is called only then, perhaps again after a failure. */
  blob(
    descriptor: Descriptor,
    open: (options: OpenOptions) => ByteStream,
    origin: DocumentSource['origin'],
  ): Promise<void>;
  document(raw: RawDocument): Promise<void>;
  /** The last one, which gets the name. */
  finish(raw: RawDocument): Promise<void>;
}

/** A document of an index is larger than `manifestLimit` nowhere. Throws IMAGE_INVALID. */
export function rawDocument(bytes: Uint8Array, descriptor: Descriptor): RawDocument {
  const document = decodeDocument(bytes, descriptor.mediaType);
  return { descriptor: { ...descriptor, mediaType: document.mediaType }, bytes, document };
}

/**
 * What a source has for these platforms: all of it without any, the manifest for one, a new index for several (its digest is new, those of
 * the manifests are not). Throws IMAGE_PLATFORM.
 */
export async function chooseDocument(
  source: DocumentSource,
  platforms: readonly Platform[],
): Promise<RawDocument> {
  const top = await source.top();
  if (platforms.length === 0) return top;
  if (top.document.kind === 'manifest') {
    const actual = await platformOf(source, top);
    if (actual !== undefined && platforms.every((wanted) => isSame(wanted, actual))) return top;
    throw missing(source, platforms[0], actual === undefined ? [] : [actual]);
  }
  const { manifests } = top.document.index;
  const chosen = platforms.map((wanted) => {
    const found = selectPlatform(manifests, wanted);
    if (found !== undefined) return found;
    throw missing(
      source,
      wanted,
      manifests.flatMap((item) => item.platform ?? []),
    );
  });
  const [first] = chosen;
  if (chosen.length === 1 && first !== undefined) return source.document(first);
  const family = top.descriptor.mediaType === mediaType.dockerList ? 'docker' : 'oci';
  const members = chosen.map((descriptor) => ({
    descriptor,
    platform: descriptor.platform,
    annotations: descriptor.annotations,
  }));
  const { bytes, descriptor } = assembleIndex(members, { mediaTypes: family });
  return rawDocument(bytes, descriptor);
}

/** As the config says; undefined for what is no image. */
export async function platformOf(source: DocumentSource, raw: RawDocument): Promise<Platform | undefined> {
  if (raw.document.kind !== 'manifest') return undefined;
  const { config } = raw.document.manifest;
  if (!isImageConfigType(config.mediaType) || config.size > configLimit) return undefined;
  const read = decodeConfig(await readAll(source.blob(config), configLimit));
  const { os, architecture, variant, 'os.version': version, 'os.features': features } = read;
  return {
    os,
    architecture,
    ...(variant === undefined || variant === '' ? {} : { variant }),
    ...(version === undefined ? {} : { 'os.version': version }),
    ...(features === undefined ? {} : { 'os.features': features }),
  };
}

function isSame(wanted: Platform, actual: Platform): boolean {
  return formatPlatform(normalizePlatform(wanted)) === formatPlatform(normalizePlatform(actual));
}

function missing(
  source: DocumentSource,
  wanted: Platform | undefined,
  there: readonly Platform[],
): BuildError {
  const platform = wanted === undefined ? '' : formatPlatform(wanted);
  const available = [...new Set(there.filter(({ os }) => os !== 'unknown').map(formatPlatform))];
  return new BuildError('IMAGE_PLATFORM', `${source.name} has no image for ${platform}`, {
    hint: available.length === 0 ? undefined : `it has ${available.slice(0, 20).join(', ')}`,
    details: { platform, available },
  });
}
