import { createHash } from 'node:crypto';
import type { Digest } from '../oci/digest.ts';
import { isNondistributable, layerCompression, mediaType } from '../oci/media-type.ts';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import type { CompressOptions } from './compression.ts';
import { compress, decompress } from './compression.ts';
import type { Layer, LayerSource, OpenOptions } from './layer.ts';
import { writeTar } from './tar.ts';
import { observed, verified } from './verify.ts';

type Open = (options?: OpenOptions) => ByteStream;

/**
 * A whole Layer from the least that its source knows. What is missing is derived by reading the source once, when it is
 * asked for, and remembered; a failure is not. Streams are verified as far as the source or an earlier reading tells what they must be.
 */
export function toLayer(source: LayerSource, compression: CompressOptions = { type: 'gzip' }): Layer {
  switch (source.kind) {
    case 'compressed':
      return compressedLayer(source);
    case 'uncompressed':
      return uncompressedLayer((options) => source.open(options), compression, source.diffId);
    case 'entries':
      return uncompressedLayer(() => writeTar(source.open()), compression);
    default:
      throw new Error('no such layer source');
  }
}

function compressedLayer(source: Extract<LayerSource, { kind: 'compressed' }>): Layer {
  const { descriptor } = source;
  const { digest, size } = descriptor;
  const compressed: Open = (options) => observed(verified(source.open(options), { digest, size }), options);
  const plain: Open = (options) => {
    const type = layerCompression(descriptor.mediaType);
    if (type === undefined) {
      throw new BuildError(
        'IMAGE_INVALID',
        `a layer has the media type ${descriptor.mediaType}, which cannot be read`,
      );
    }
    return decompress(compressed({ signal: options?.signal }), type);
  };
  const diffId = once(async () => source.diffId ?? (await measure(plain())).digest);
  return {
    mediaType: () => Promise.resolve(descriptor.mediaType),
    digest: () => Promise.resolve(digest),
    size: () => Promise.resolve(size),
    urls: isNondistributable(descriptor.mediaType) ? descriptor.urls : undefined,
    diffId,
    compressed,
    uncompressed: (options) =>
      observed(
        source.diffId === undefined ? plain(options) : verified(plain(options), { digest: source.diffId }),
        options,
      ),
  };
}

const mediaTypes = {
  none: mediaType.ociLayer,
  gzip: mediaType.ociLayerGzip,
  zstd: mediaType.ociLayerZstd,
} as const;

function uncompressedLayer(open: Open, compression: CompressOptions, known?: Digest): Layer {
  const plain: Open = (options) =>
    known === undefined ? open(options) : verified(open(options), { digest: known });
  const blob = once(() => measure(compress(plain(), compression)));
  return {
    mediaType: () => Promise.resolve(mediaTypes[compression.type]),
    digest: async () => (await blob()).digest,
    size: async () => (await blob()).size,
    diffId:
      known === undefined ? once(async () => (await measure(plain())).digest) : () => Promise.resolve(known),
    compressed: async function* (options = {}) {
      yield* observed(
        verified(compress(plain({ signal: options.signal }), compression), await blob()),
        options,
      );
    },
    uncompressed: (options) => observed(plain(options), options),
  };
}

/** Remembers the first result; failures are tried again. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () =>
    (result ??= work().catch((error: unknown) => {
      result = undefined;
      throw error;
    }));
}

async function measure(bytes: ByteStream): Promise<{ digest: Digest; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of bytes) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { digest: `sha256:${hash.digest('hex')}`, size };
}
