import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { decompress } from '../image/compression.ts';
import { toLayer } from '../image/derive.ts';
import type { Layer } from '../image/layer.ts';
import { verified } from '../image/verify.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { Compression } from '../oci/media-type.ts';
import { layerCompression } from '../oci/media-type.ts';
import type { ByteStream } from '../util/streams.ts';
import type { CachePlace } from './place.ts';
import { invalid } from './remote-format.ts';

export interface RemoteLayerOptions {
  /** Its bytes have passed: this blob holds this layer. */
  proven(diffId: Digest, blob: Descriptor): void;
  /** It could not be read. */
  failed(error: unknown): void;
}

/**
 * A layer of a cache, which is fetched when somebody reads it. A record says which blob holds it, and whoever writes a cache may lie: the
 * bytes are verified against the blob's digest and, in the same pass, against the layer's.
 */
export function remoteLayer(
  place: CachePlace,
  { diffId, blob }: { readonly diffId: Digest; readonly blob: Descriptor },
  options: RemoteLayerOptions,
): Layer {
  const layer = toLayer({
    kind: 'compressed',
    descriptor: blob,
    diffId,
    open: (open) => proof(place.openBlob(blob, open), diffId, blob),
  });
  return {
    ...layer,
    compressed: async function* (open = {}) {
      try {
        yield* layer.compressed(open);
      } catch (error) {
        if (open.signal?.aborted !== true) options.failed(error);
        throw error;
      }
      options.proven(diffId, blob);
    },
  };
}

/** The same bytes; throws at their end when what they hold is not the layer. */
async function* proof(stream: ByteStream, diffId: Digest, blob: Descriptor): AsyncGenerator<Uint8Array> {
  const compression = layerCompression(blob.mediaType);
  if (compression === undefined) throw invalid(`a layer has the media type ${blob.mediaType}`);
  const copy = new PassThrough();
  const digest = digestOfContent(copy, compression);
  digest.catch(() => undefined);
  try {
    for await (const chunk of verified(stream, blob)) {
      if (!copy.write(chunk)) await Promise.race([once(copy, 'drain'), digest]);
      yield chunk;
    }
    copy.end();
    if ((await digest) !== diffId) throw invalid(`${blob.digest} does not hold the layer ${diffId}`);
  } finally {
    copy.destroy();
  }
}

async function digestOfContent(stream: ByteStream, compression: Compression): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const chunk of decompress(stream, compression)) hash.update(chunk);
  return `sha256:${hash.digest('hex')}`;
}
