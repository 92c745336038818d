import type { ImageConfig } from '../oci/config.ts';
import { configLimit, decodeConfig, decodeManifest } from '../oci/decode.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOf } from '../oci/digest.ts';
import { BuildError } from '../util/build-error.ts';
import { againIfSpoilt } from '../util/spoilt.ts';
import type { ByteStream } from '../util/streams.ts';
import { readAll } from '../util/streams.ts';
import { toLayer } from './derive.ts';
import type { Image } from './image.ts';
import type { Layer, OpenOptions } from './layer.ts';
import { verified } from './verify.ts';

/** An image of blobs that can be opened by descriptor; every byte is verified. The config is read when it is first needed. Throws IMAGE_INVALID. */
export function openImage(
  rawManifest: Uint8Array,
  open: (descriptor: Descriptor, options?: OpenOptions) => ByteStream,
  mediaType?: string,
): Image {
  const manifest = decodeManifest(rawManifest, mediaType);
  const descriptor: Descriptor = {
    mediaType: mediaType ?? manifest.mediaType ?? 'application/vnd.oci.image.manifest.v1+json',
    digest: digestOf(rawManifest),
    size: rawManifest.length,
  };
  let loaded: Promise<Uint8Array> | undefined;
  const rawConfig = (): Promise<Uint8Array> =>
    (loaded ??= againIfSpoilt(() => readLimited(open, manifest.config)).catch((error: unknown) => {
      loaded = undefined;
      throw error;
    }));
  let layers: readonly Layer[] | undefined;
  const config = async (): Promise<ImageConfig> => decodeConfig(await rawConfig());
  return {
    descriptor: () => Promise.resolve(descriptor),
    rawManifest: () => Promise.resolve(rawManifest),
    rawConfig,
    manifest: () => Promise.resolve(manifest),
    config,
    digest: () => Promise.resolve(descriptor.digest),
    layers: async () => (layers ??= layersOf(manifest.layers, (await config()).rootfs.diff_ids, open)),
  };
}

function layersOf(
  descriptors: readonly Descriptor[],
  diffIds: readonly Digest[],
  open: (descriptor: Descriptor, options?: OpenOptions) => ByteStream,
): readonly Layer[] {
  if (descriptors.length !== diffIds.length) {
    throw new BuildError(
      'IMAGE_INVALID',
      `the image has ${descriptors.length} layers and ${diffIds.length} diff_ids`,
    );
  }
  return descriptors.map((descriptor, index) =>
    toLayer({
      kind: 'compressed',
      descriptor,
      diffId: diffIds[index] as Digest,
      open: (options) => open(descriptor, options),
    }),
  );
}

/** A small blob as a whole, verified. Throws IMAGE_INVALID for one above the limit of configs. */
export async function readLimited(
  open: (descriptor: Descriptor) => ByteStream,
  descriptor: Descriptor,
): Promise<Uint8Array> {
  if (descriptor.size > configLimit) {
    throw new BuildError(
      'IMAGE_INVALID',
      `${descriptor.digest} has ${descriptor.size} bytes, more than ${configLimit}`,
    );
  }
  return readAll(verified(open(descriptor), descriptor), configLimit);
}
