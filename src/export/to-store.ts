import type { StoredLayer } from '../image/layer-store.ts';
import type { Image } from '../image/image.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { transferTeller } from '../progress/transfer.ts';
import type { Store } from '../store/store.ts';
import { BuildError } from '../util/build-error.ts';
import { sideBySide } from '../util/side-by-side.ts';
import type { Exporter, ExportContext, PlatformImage } from './exporter.ts';

/**
 * Puts the image into the local store, complete: every blob, compressed as it would be pushed, so that the digest told is the digest
 * pushed. The names move to it only when all is there.
 */
export function storeExporter(store: Store): Exporter {
  return {
    name: 'exporting to the local store',
    export: async (result, context) => {
      const descriptors: Descriptor[] = [];
      for (const image of result.images) descriptors.push(await storeImage(store, image, context));
      const first = descriptors[0];
      if (first === undefined) return undefined;
      await store.images.tag(first, context.names);
      return first;
    },
  };
}

/** Writes blobs, config and manifest of one image; the store then holds all that its manifest names. */
export async function storeImage(
  store: Pick<Store, 'blobs'>,
  { image, layers }: Pick<PlatformImage, 'image' | 'layers'>,
  context: Pick<ExportContext, 'emit' | 'signal' | 'id'>,
): Promise<Descriptor> {
  const keepAll = (some: readonly StoredLayer[]): Promise<void> =>
    sideBySide(some, (layer, signal) => keepBlob(layer, { ...context, signal }), context);
  // A new layer is compressed now; a base layer that no step has read is still in its registry, and comes.
  await keepAll(layers.filter((layer) => !layer.hasBlob()));
  const { layers: named } = await image.manifest();
  // A layer that is here in another compression counts as present until the manifest says which one it names.
  const missing = layers.filter((_, index) => {
    const digest = named[index]?.digest;
    return digest !== undefined && !store.blobs.has(digest);
  });
  await keepAll(missing);
  for (const descriptor of named) requireSize(store, descriptor);
  const config = await image.rawConfig();
  const manifest = await image.rawManifest();
  if (!store.blobs.has((await image.manifest()).config.digest)) await store.blobs.putBytes(config);
  if (!store.blobs.has(await image.digest())) await store.blobs.putBytes(manifest);
  return withPlatform(image);
}

/** A manifest names its blobs by digest and size: of one that is here already the size is looked at, too. Throws IMAGE_INVALID. */
export function requireSize({ blobs }: Pick<Store, 'blobs'>, { digest, size }: Descriptor): void {
  const actual = blobs.size(digest);
  if (actual === undefined || actual === size) return;
  throw new BuildError('IMAGE_INVALID', `${digest} has ${actual} bytes, but its manifest says ${size}`);
}

async function withPlatform(image: Image): Promise<Descriptor> {
  const descriptor = await image.descriptor();
  const { os, architecture, variant } = await image.config();
  return { ...descriptor, platform: { os, architecture, ...(variant === undefined ? {} : { variant }) } };
}

async function keepBlob(
  layer: StoredLayer,
  { emit, signal, id }: Pick<ExportContext, 'emit' | 'signal' | 'id'>,
): Promise<void> {
  // Named as its manifest names it; what is compressed only now has no digest yet.
  const name = layer.isNew()
    ? `layer ${layer.knownDiffId.slice(7, 19)}`
    : `pulling ${(await layer.digest()).slice(7, 19)}`;
  const total = layer.isNew() ? {} : { total: await layer.size() };
  const progress = transferTeller(emit, { id, name, ...total });
  await layer.storeBlob({ signal, onProgress: progress.at });
  progress.done(await layer.size());
}
