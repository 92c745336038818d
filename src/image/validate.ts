import { createHash } from 'node:crypto';
import { decodeConfig, decodeManifest } from '../oci/decode.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOf } from '../oci/digest.ts';
import { layerCompression, mediaType } from '../oci/media-type.ts';
import type { ByteStream } from '../util/streams.ts';
import { decompress } from './compression.ts';
import { parentPath } from './entry-path.ts';
import type { Image } from './image.ts';
import type { Layer } from './layer.ts';
import { readTar } from './tar.ts';

/**
 * Reads a whole image and tells each invariant that it breaks, one sentence each; none for a good image. Believes no digest: what is
 * hashed is the bytes themselves. OCI image-spec manifest.md, config.md, layer.md; X-RE-4.
 */
export async function validateImage(image: Image): Promise<string[]> {
  const problems: string[] = [];
  const expect = (holds: boolean, otherwise: string): void => {
    if (!holds) problems.push(otherwise);
  };
  const attempt = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      problems.push(`${what}: ${(error as Error).message}`);
    }
  };
  await attempt('manifest', async () => {
    const raw = await image.rawManifest();
    const descriptor = await image.descriptor();
    expectBytes(raw, descriptor, 'the manifest', expect);
    expect((await image.digest()) === descriptor.digest, 'digest() and descriptor() disagree');
    const manifest = decodeManifest(raw, descriptor.mediaType);
    expect(
      manifest.mediaType === descriptor.mediaType,
      'the manifest and its descriptor disagree on its media type',
    );
    const isOci = descriptor.mediaType === mediaType.ociManifest;
    const configType = isOci ? mediaType.ociConfig : mediaType.dockerConfig;
    expect(
      manifest.config.mediaType === configType,
      `the config has the media type ${manifest.config.mediaType}`,
    );
    const rawConfig = await image.rawConfig();
    expectBytes(rawConfig, manifest.config, 'the config', expect);
    const config = decodeConfig(rawConfig);
    const diffIds = config.rootfs.diff_ids;
    const layers = await image.layers();
    expect(diffIds.length === layers.length, `${diffIds.length} diff_ids for ${layers.length} layers`);
    expect(
      manifest.layers.length === layers.length,
      `the manifest names ${manifest.layers.length} of ${layers.length} layers`,
    );
    const history = config.history?.filter(({ empty_layer: empty }) => empty !== true).length;
    expect(
      history === undefined || history === layers.length,
      `${history} history entries for ${layers.length} layers`,
    );
    for (const [at, descriptorOfLayer] of manifest.layers.entries()) {
      const [layer, diffId] = [layers[at], diffIds[at]];
      if (layer === undefined || diffId === undefined) continue;
      const family = isOci ? 'application/vnd.oci.' : 'application/vnd.docker.';
      expect(
        descriptorOfLayer.mediaType.startsWith(family),
        `layer ${at} has the media type ${descriptorOfLayer.mediaType}`,
      );
      await attempt(`layer ${at}`, () =>
        checkLayer({ layer, at, diffId, descriptor: descriptorOfLayer }, expect),
      );
    }
  });
  return problems;
}

type Expect = (holds: boolean, otherwise: string) => void;

function expectBytes(bytes: Uint8Array, descriptor: Descriptor, what: string, expect: Expect): void {
  expect(digestOf(bytes) === descriptor.digest, `${what} does not have the digest ${descriptor.digest}`);
  expect(
    bytes.length === descriptor.size,
    `${what} has ${bytes.length} bytes and should have ${descriptor.size}`,
  );
}

interface LayerToCheck {
  readonly layer: Layer;
  readonly at: number;
  readonly diffId: Digest;
  readonly descriptor: Descriptor;
}

async function checkLayer({ layer, at, diffId, descriptor }: LayerToCheck, expect: Expect): Promise<void> {
  const compression = layerCompression(descriptor.mediaType);
  if (compression === undefined)
    return expect(false, `layer ${at} has the media type ${descriptor.mediaType}`);
  const compressed = measured(layer.compressed());
  const plain = measured(decompress(compressed.bytes, compression));
  const seen = new Map<string, string>();
  for await (const entry of readTar(plain.bytes, { whiteouts: true, absolute: 'refuse' })) {
    const key = entry.type === 'opaque' ? `${entry.path}/.wh..wh..opq` : entry.path;
    expect(!seen.has(key), `layer ${at} has /${key} twice`);
    seen.set(key, entry.type);
    const parent = parentPath(entry.path);
    if (parent !== '') {
      expect(seen.get(parent) === 'directory', `layer ${at} has /${entry.path} before its directory`);
    }
    if (entry.type === 'hardlink') {
      const target = seen.get(entry.linkTarget ?? '');
      expect(
        target !== undefined && target !== 'directory',
        `layer ${at} has a hard link /${entry.path} to ${entry.linkTarget}, which is no earlier file of it`,
      );
    }
  }
  expect(
    compressed.digest() === descriptor.digest,
    `layer ${at} does not have the digest ${descriptor.digest}`,
  );
  expect(
    compressed.size() === descriptor.size,
    `layer ${at} has ${compressed.size()} bytes, not ${descriptor.size}`,
  );
  expect(plain.digest() === diffId, `layer ${at} does not have the diff_id ${diffId}`);
}

function measured(source: ByteStream): { bytes: ByteStream; digest(): Digest; size(): number } {
  const hash = createHash('sha256');
  let size = 0;
  const bytes = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      hash.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  };
  return { bytes: bytes(), digest: () => `sha256:${hash.digest('hex')}`, size: () => size };
}
