import type { Image } from '../image/image.ts';
import { openLayoutImage } from '../image/oci-layout.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { isImageConfigType } from '../oci/media-type.ts';
import { formatPlatform } from '../oci/platform.ts';
import { BuildError } from '../util/build-error.ts';
import type { Diagnostic } from '../util/diagnostic.ts';
import { withSession } from './session.ts';
import { findStoreEntry, findStoreImage, nameFor } from './store-image.ts';
import type { CommonOptions, HistoryLine, ImageDetails, ImageSummary } from './types.ts';

/** The images of the store, newest first; one line a name. What is no image, or cannot be read, is left out and told as a diagnostic. */
export function listImages(options: CommonOptions = {}): Promise<readonly ImageSummary[]> {
  return withSession(options, async ({ store, emit }) => {
    const summaries: ImageSummary[] = [];
    for (const { name, descriptor } of await store.images.list()) {
      let image: Image | undefined;
      try {
        image = await openLayoutImage(store.root, { descriptor });
        summaries.push(await summarize(image, descriptor, name));
      } catch (error) {
        if (!(error instanceof BuildError)) throw error;
        const diagnostic = await leftOut(name ?? descriptor.digest, image, error);
        emit({ type: 'diagnostic', diagnostic });
      }
    }
    return summaries.toSorted((a, b) => (b.created ?? '').localeCompare(a.created ?? ''));
  });
}

async function leftOut(name: string, image: Image | undefined, error: BuildError): Promise<Diagnostic> {
  const manifest = await image?.manifest();
  const type = manifest?.artifactType ?? manifest?.config.mediaType;
  if (manifest !== undefined && !isImageConfigType(manifest.config.mediaType))
    return { severity: 'note', rule: 'NoImage', message: `\`${name}\` is no image but an artifact: ${type}` };
  return {
    severity: 'warning',
    rule: 'ImageUnreadable',
    message: `\`${name}\` cannot be listed: ${error.message}`,
    hint: `\`tsbuild rmi ${name}\` removes it; \`tsbuild store check\` looks for more that is damaged`,
  };
}

/** One image with its manifest and config. Error: IMAGE_NOT_FOUND. */
export function inspectImage(options: CommonOptions & { readonly image: string }): Promise<ImageDetails> {
  return withSession(options, async (session) => {
    const { image, descriptor, name } = await findStoreImage(session, options.image);
    const listed = await session.store.images.list();
    return {
      ...(await summarize(image, descriptor, name)),
      names: listed.flatMap((item) =>
        item.descriptor.digest === descriptor.digest && item.name !== undefined ? [item.name] : [],
      ),
      descriptor,
      manifest: await image.manifest(),
      config: await image.config(),
    };
  });
}

/** What each instruction added, newest first, as `docker history` shows it. Error: IMAGE_NOT_FOUND. */
export function imageHistory(
  options: CommonOptions & { readonly image: string },
): Promise<readonly HistoryLine[]> {
  return withSession(options, async (session) => {
    const { image } = await findStoreImage(session, options.image);
    const { layers } = await image.manifest();
    let next = 0;
    const lines = ((await image.config()).history ?? []).map((entry): HistoryLine => {
      const layer = entry.empty_layer === true ? undefined : layers[next++];
      return {
        created: entry.created,
        createdBy: entry.created_by ?? '',
        comment: entry.comment,
        size: layer?.size ?? 0,
        layer: layer?.digest,
      };
    });
    return lines.toReversed();
  });
}

/** Gives an image of the store a further name, which moves from the image that had it. Errors: IMAGE_NOT_FOUND, REFERENCE_INVALID. */
export function tagImage(
  options: CommonOptions & { readonly image: string; readonly name: string },
): Promise<void> {
  return withSession(options, async (session) => {
    const { descriptor } = await findStoreEntry(session, options.image);
    await session.store.images.tag(descriptor, [nameFor(options.name, descriptor.digest)]);
  });
}

/**
 * Takes a name from an image; the image itself goes with its last name, and then what no other image or cache record needs. An image
 * named by digest loses all its names. Error: IMAGE_NOT_FOUND.
 */
export function removeImage(
  options: CommonOptions & { readonly image: string },
): Promise<{ readonly untagged: readonly string[]; readonly deleted: Digest | undefined }> {
  return withSession(options, async (session) => {
    const { descriptor, name } = await findStoreEntry(session, options.image);
    const { images } = session.store;
    const untagged = await images.remove(name ?? descriptor.digest);
    const left = (await images.list()).some((item) => item.descriptor.digest === descriptor.digest);
    if (!left) await session.store.removeUnreferenced();
    return {
      untagged: untagged.flatMap((item) => item.name ?? []),
      deleted: left ? undefined : descriptor.digest,
    };
  });
}

/** What `tsbuild images` shows of an image. */
export async function summarize(
  image: Image,
  descriptor: Descriptor,
  name: string | undefined,
): Promise<ImageSummary> {
  const manifest = await image.manifest();
  const config = await image.config();
  return {
    name,
    digest: descriptor.digest,
    imageId: manifest.config.digest,
    created: config.created,
    size: manifest.layers.reduce((sum, layer) => sum + layer.size, manifest.config.size + descriptor.size),
    platform: formatPlatform(config),
  };
}
