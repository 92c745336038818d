import type { Image } from '../image/image.ts';
import { openImage } from '../image/open-image.ts';
import { selectPlatform } from '../image/select-platform.ts';
import { decodeDocument } from '../oci/decode.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOf } from '../oci/digest.ts';
import { isIndexType, mediaType } from '../oci/media-type.ts';
import type { Manifest } from '../oci/manifest.ts';
import type { Platform } from '../oci/platform.ts';
import { formatPlatform } from '../oci/platform.ts';
import type { Reference } from '../oci/reference.ts';
import { formatReference } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import { streamOf } from '../util/streams.ts';
import type { RegistryClient } from './client.ts';
import type { FetchedManifest } from './manifest.ts';

export interface ResolvedImage {
  /** Of the manifest for the platform. */
  readonly descriptor: Descriptor;
  /** Of the index that it was chosen from. */
  readonly index?: Descriptor | undefined;
  /** Manifest and config are there; a layer's bytes are fetched when somebody opens it. Valid as long as the client. */
  readonly image: Image;
}

export interface ResolveOptions {
  readonly signal?: AbortSignal | undefined;
  /** Documents that are here already, by digest; with it a tag is looked up by HEAD, which does not count against pull limits. The bytes
   * are checked again. */
  readonly known?: ((digest: Digest) => Promise<Uint8Array | undefined>) | undefined;
}

interface Want {
  readonly client: RegistryClient;
  readonly reference: Reference;
  readonly options: ResolveOptions;
}

/**
 * Finds the image of a reference for one platform (R-PULL-1, R-PULL-2): the digest decides where there is one, else the tag. A reference to
 * a single manifest gives that, whatever platform it is for, as docker does; its config tells. Throws IMAGE_NOT_FOUND, IMAGE_PLATFORM
 * (`details.available` lists what there is), IMAGE_INVALID, and what the client throws.
 */
// oxlint-disable-next-line max-params -- options last, as everywhere
export async function resolveImage(
  client: RegistryClient,
  reference: Reference,
  platform: Platform,
  options: ResolveOptions = {},
): Promise<ResolvedImage> {
  const want = { client, reference, options };
  const top = await fetchTop(want).catch((error: unknown) => withAlias(want, error));
  if (top.document.kind === 'manifest') {
    const { descriptor, bytes } = top;
    return { descriptor, image: await loadImage(want, descriptor, bytes, top.document.manifest) };
  }
  const chosen = selectPlatform(top.document.index.manifests, platform);
  if (chosen === undefined) throw noPlatform(want, platform, top.document.index.manifests);
  if (isIndexType(chosen.mediaType)) {
    throw new BuildError(
      'IMAGE_INVALID',
      `${formatReference(reference)} is an index of indexes, which is not supported`,
    );
  }
  const found = await fetchDocument(want, chosen.digest, chosen);
  if (found.document.kind !== 'manifest') {
    throw new BuildError('IMAGE_INVALID', `${chosen.digest} of ${formatReference(reference)} is no manifest`);
  }
  const descriptor = {
    ...found.descriptor,
    ...(chosen.platform === undefined ? {} : { platform: chosen.platform }),
  };
  const image = await loadImage(want, descriptor, found.bytes, found.document.manifest);
  return { descriptor, index: top.descriptor, image };
}

/** Says where podman would have looked. */
async function withAlias({ client, reference }: Want, error: unknown): Promise<never> {
  const known = ['IMAGE_NOT_FOUND', 'REGISTRY_UNAUTHORIZED'];
  if (!(error instanceof BuildError) || !known.includes(error.code)) throw error;
  const alias = await client.aliasOf(reference);
  if (alias === undefined) throw error;
  const { code, message, details } = error;
  const hint = `registries.conf calls it ${alias}: write that, if it is what you mean`;
  throw new BuildError(code, message, { hint, details, cause: error });
}

async function fetchTop(want: Want): Promise<FetchedManifest> {
  const { client, reference, options } = want;
  if (reference.digest !== undefined) return fetchDocument(want, reference.digest);
  const tag = reference.tag ?? 'latest';
  if (options.known === undefined) return client.getManifest(reference, tag, options);
  const head = await client.headManifest(reference, tag, options);
  // The GET after a HEAD that found nothing says why, in the registry's words.
  return head === undefined
    ? client.getManifest(reference, tag, options)
    : fetchDocument(want, head.digest, head);
}

async function fetchDocument(want: Want, digest: Digest, expected?: Descriptor): Promise<FetchedManifest> {
  const { client, reference, options } = want;
  const bytes = await options.known?.(digest);
  if (bytes !== undefined && digestOf(bytes) === digest) {
    const document = decodeDocument(bytes, expected?.mediaType);
    return { descriptor: { mediaType: document.mediaType, digest, size: bytes.length }, bytes, document };
  }
  const found = await client.getManifest(reference, digest, options);
  if (expected !== undefined && expected.size !== found.bytes.length) {
    throw new BuildError(
      'IMAGE_INVALID',
      `${digest} of ${formatReference(reference)} has ${found.bytes.length} bytes, but its index says ${expected.size}`,
    );
  }
  return found;
}

// oxlint-disable-next-line max-params -- internal
async function loadImage(
  want: Want,
  descriptor: Descriptor,
  bytes: Uint8Array,
  manifest: Manifest,
): Promise<Image> {
  const { client, reference, options } = want;
  const name = formatReference(reference);
  const configs: readonly string[] = [mediaType.ociConfig, mediaType.dockerConfig];
  if (!configs.includes(manifest.config.mediaType)) {
    const type = manifest.artifactType ?? manifest.config.mediaType;
    throw new BuildError('IMAGE_INVALID', `${name} is no image, but an artifact of type ${type}`);
  }
  const config = await options.known?.(manifest.config.digest);
  const image = openImage(
    bytes,
    (blob, open) =>
      config !== undefined && blob.digest === manifest.config.digest
        ? streamOf(config)
        : client.getBlob(reference, blob, open),
    descriptor.mediaType,
  );
  // Read now: a broken config shows at the FROM line, not in the middle of a build.
  await image.layers();
  return image;
}

function noPlatform(want: Want, platform: Platform, manifests: readonly Descriptor[]): BuildError {
  const available = [
    ...new Set(
      manifests.flatMap((item) =>
        item.platform === undefined || item.platform.os === 'unknown' ? [] : [formatPlatform(item.platform)],
      ),
    ),
  ];
  return new BuildError(
    'IMAGE_PLATFORM',
    `${formatReference(want.reference)} has no image for ${formatPlatform(platform)}`,
    {
      hint: available.length === 0 ? undefined : `it has ${available.slice(0, 20).join(', ')}`,
      details: { platform: formatPlatform(platform), available },
    },
  );
}
