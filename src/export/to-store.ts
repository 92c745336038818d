import type { StoredLayer } from '../image/layer-store.ts';
import type { Image } from '../image/image.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Store } from '../store/store.ts';
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
  store: Store,
  { image, layers }: Pick<PlatformImage, 'image' | 'layers'>,
  context: Pick<ExportContext, 'emit' | 'signal' | 'id'>,
): Promise<Descriptor> {
  await Promise.all(layers.map((layer) => completeLayer(layer, store, context)));
  const config = await image.rawConfig();
  const manifest = await image.rawManifest();
  if (!store.blobs.has((await image.manifest()).config.digest)) await store.blobs.putBytes(config);
  if (!store.blobs.has(await image.digest())) await store.blobs.putBytes(manifest);
  return withPlatform(image);
}

async function withPlatform(image: Image): Promise<Descriptor> {
  const descriptor = await image.descriptor();
  const { os, architecture, variant } = await image.config();
  return { ...descriptor, platform: { os, architecture, ...(variant === undefined ? {} : { variant }) } };
}

/** A base layer that no step has read is still in its registry: now it comes. */
async function completeLayer(
  layer: StoredLayer,
  store: Store,
  context: Pick<ExportContext, 'emit' | 'signal' | 'id'>,
): Promise<void> {
  const digest = await layer.digest();
  if (store.blobs.has(digest)) return;
  const total = await layer.size();
  const report = (current: number, done: boolean): void => {
    context.emit({ type: 'transfer', id: context.id, name: digest, current, total, done, time: Date.now() });
  };
  await store.blobs.put(
    layer.compressed({ signal: context.signal, onProgress: (bytes) => report(bytes, false) }),
    { digest, size: total },
    context.signal,
  );
  report(total, true);
}
