import { decodeDocument, manifestLimit } from '../oci/decode.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { isIndexType, isManifestType } from '../oci/media-type.ts';
import type { Platform } from '../oci/platform.ts';
import { formatPlatform, hostPlatform, normalizePlatform } from '../oci/platform.ts';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { readAll } from '../util/streams.ts';
import type { Image } from './image.ts';
import type { OpenOptions } from './layer.ts';
import { openImage } from './open-image.ts';
import { selectPlatform } from './select-platform.ts';

/** Which image of a layout is wanted; by nothing, the only one there is. */
export interface ImageQuery {
  readonly descriptor?: Descriptor | undefined;
  readonly digest?: Digest | undefined;
  /** As its annotations say: a tag (`org.opencontainers.image.ref.name`) or a whole name (`io.containerd.image.name`). */
  readonly name?: string | undefined;
  /** Chooses from indexes; an image known to be for another platform is refused. Default: that of this host, for indexes alone. */
  readonly platform?: Platform | undefined;
}

export interface BlobSource {
  open(descriptor: Descriptor, options?: OpenOptions): ByteStream;
  /** For messages. */
  readonly name: string;
}

const maxDepth = 4;

/** Finds one image, from the descriptors of an index.json down. Throws IMAGE_NOT_FOUND, IMAGE_PLATFORM, IMAGE_INVALID. */
export async function findImage(
  descriptors: readonly Descriptor[],
  query: ImageQuery,
  source: BlobSource,
): Promise<Image> {
  let current = query.descriptor ?? chooseDescriptor(descriptors, query, source.name);
  for (let depth = 0; depth < maxDepth; depth += 1) {
    if (current.size > manifestLimit)
      throw new BuildError('IMAGE_INVALID', `${current.digest} is too large for a manifest`);
    const bytes = await readAll(source.open(current), manifestLimit);
    if (bytes.length !== current.size) {
      throw new BuildError(
        'IMAGE_INVALID',
        `${current.digest} has ${bytes.length} bytes and should have ${current.size}`,
      );
    }
    const document = decodeDocument(bytes, current.mediaType);
    if (document.kind === 'manifest') {
      if (query.platform !== undefined && current.platform !== undefined) {
        pickPlatform([current], query.platform, source.name);
      }
      return openImage(bytes, (descriptor, options) => source.open(descriptor, options), document.mediaType);
    }
    current = pickPlatform(document.index.manifests, query.platform ?? hostPlatform(), source.name);
  }
  throw new BuildError('IMAGE_INVALID', `${source.name} has indexes nested more than ${maxDepth} deep`);
}

/** The entry of an index.json that is meant. Throws IMAGE_NOT_FOUND. */
export function chooseDescriptor(all: readonly Descriptor[], query: ImageQuery, place: string): Descriptor {
  const images = all.filter(({ mediaType }) => isManifestType(mediaType) || isIndexType(mediaType));
  const found = images.filter(
    (descriptor) =>
      (query.digest === undefined || descriptor.digest === query.digest) &&
      (query.name === undefined || namesOf(descriptor).includes(query.name)),
  );
  if (new Set(found.map(({ digest }) => digest)).size > 1) {
    const chosen = selectPlatform(found, query.platform ?? hostPlatform());
    const sameName = query.name !== undefined;
    // Several platforms of one thing are a choice; several things are none.
    if (chosen !== undefined && (sameName || new Set(found.map(platformOf)).size === found.length))
      return chosen;
  }
  const [first, ...others] = found;
  if (first !== undefined && others.every(({ digest }) => digest === first.digest)) return first;
  const names = [...new Set(images.flatMap(namesOf))].slice(0, 20);
  const hint = names.length === 0 ? 'name one by its digest' : `it has ${names.join(', ')}`;
  if (first !== undefined) {
    throw new BuildError('IMAGE_NOT_FOUND', `${place} has several images, and the name says not which`, {
      hint,
    });
  }
  const wanted = query.digest ?? query.name;
  const what = wanted === undefined ? 'no image' : `no image ${wanted}`;
  throw new BuildError('IMAGE_NOT_FOUND', `${place} has ${what}`, names.length === 0 ? {} : { hint });
}

/** The names by which the annotations of a descriptor call it. */
export function namesOf({ annotations }: Descriptor): string[] {
  const names = [
    annotations?.['io.containerd.image.name'],
    annotations?.['org.opencontainers.image.ref.name'],
  ];
  return names.filter((name) => name !== undefined);
}

function platformOf({ platform }: Descriptor): string {
  return platform === undefined ? '' : formatPlatform(normalizePlatform(platform));
}

function pickPlatform(manifests: readonly Descriptor[], platform: Platform, place: string): Descriptor {
  const chosen = selectPlatform(manifests, platform);
  if (chosen !== undefined) return chosen;
  const available = [...new Set(manifests.map(platformOf))].filter(
    (text) => text !== '' && !text.startsWith('unknown'),
  );
  throw new BuildError('IMAGE_PLATFORM', `${place} has no image for ${formatPlatform(platform)}`, {
    hint: available.length === 0 ? undefined : `it has ${available.join(', ')}`,
    details: { platform: formatPlatform(platform), available },
  });
}
