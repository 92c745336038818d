import { createCipheriv } from 'node:crypto';
import type { Entry } from '../../src/image/entry.ts';
import { toLayer } from '../../src/image/derive.ts';
import { assembleImage } from '../../src/image/mutate.ts';
import type { CompressOptions } from '../../src/image/compression.ts';
import { openStore } from '../../src/store/store.ts';

const MiB = 1024 * 1024;

export interface BigImage {
  /** Uncompressed, MiB, one number a layer. */
  readonly layers: readonly number[];
  /** `mixed`: three quarters random bytes, one quarter text. `sparse`: zeros, but for one block in 64. */
  readonly content: 'mixed' | 'sparse';
  readonly compression: CompressOptions;
}

/** Puts an image of large layers into the store at `root`, which is an OCI layout; the same bytes each time. Returns the bytes of its blobs. */
export async function writeBigImage(root: string, name: string, wanted: BigImage): Promise<number> {
  await using store = await openStore(root);
  let total = 0;
  const layers = [];
  for (const [number, size] of wanted.layers.entries()) {
    const entries = (): AsyncGenerator<Entry> => files(number, size, wanted.content);
    const layer = toLayer({ kind: 'entries', open: entries }, wanted.compression);
    const blob = await store.blobs.put(layer.compressed());
    total += blob.size;
    layers.push(layer);
  }
  const config = { os: 'linux', architecture: 'amd64', config: {} };
  const image = await assembleImage({ layers, config, mediaTypes: 'oci' });
  await store.blobs.putBytes(await image.rawConfig());
  await store.blobs.putBytes(await image.rawManifest());
  const platform = { os: 'linux', architecture: 'amd64' };
  await store.images.tag({ ...(await image.descriptor()), platform }, [name]);
  return total;
}

async function* files(layer: number, size: number, content: BigImage['content']): AsyncGenerator<Entry> {
  const each = Math.min(size, 16);
  for (let file = 0; file * each < size; file += 1) {
    const count = Math.min(each, size - file * each);
    const path = `layer-${layer}-file-${file}`;
    yield {
      ...{ path, type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: 0n, size: count * MiB },
      content: () => blocks(layer * 1000 + file, count, content),
    };
  }
}

async function* blocks(
  seed: number,
  count: number,
  content: BigImage['content'],
): AsyncGenerator<Uint8Array> {
  const key = Buffer.alloc(16, seed);
  key.writeUInt32LE(seed);
  const random = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(MiB);
  const text = Buffer.alloc(MiB, `line ${seed}: the quick brown fox jumps over the lazy dog\n`);
  for (let block = 0; block < count; block += 1) {
    if (content === 'sparse') yield block % 64 === 0 ? random.update(zeros) : zeros;
    else yield block % 4 === 3 ? text : random.update(zeros);
  }
}
