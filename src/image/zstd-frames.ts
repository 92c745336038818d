import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { ByteReader } from './byte-reader.ts';

const frameMagic = 0xfd2f_b528;
const skippableMagic = 0x184d_2a50;
const dictionaryIdBytes = [0, 1, 2, 4] as const;
const contentSizeBytes = [0, 2, 4, 8] as const;

/**
 * The same zstd data, cut so that no chunk holds parts of two frames, and without skippable frames (RFC 8878, 3.1): Node's
 * decompressor drops what follows the end of a frame in the chunk that ends it, without an error. Reads headers of frames and
 * blocks only. Throws for data that is cut short (IMAGE_INVALID) or that goes on with something else.
 */
export async function* zstdFrames(bytes: ByteStream): AsyncGenerator<Uint8Array> {
  const reader = new ByteReader(bytes, Number.MAX_SAFE_INTEGER);
  try {
    for (;;) {
      const start = await reader.read(4);
      if (start === undefined) return;
      const magic = start.readUInt32LE();
      if ((magic & 0xffff_fff0) >>> 0 === skippableMagic) {
        await reader.skip((await exactly(reader, 4)).readUInt32LE());
        continue;
      }
      if (magic !== frameMagic)
        throw new BuildError('IMAGE_INVALID', 'the zstd data goes on with something else');
      yield* frame(reader, start);
    }
  } finally {
    await reader.close();
  }
}

async function* frame(reader: ByteReader, magic: Buffer): AsyncGenerator<Uint8Array> {
  const descriptor = (await exactly(reader, 1))[0] as number;
  const single = (descriptor & 0x20) !== 0;
  const contentSize = contentSizeBytes[(descriptor >> 6) as 0 | 1 | 2 | 3];
  const rest =
    (single ? 0 : 1) +
    dictionaryIdBytes[(descriptor & 3) as 0 | 1 | 2 | 3] +
    (single && contentSize === 0 ? 1 : contentSize);
  yield Buffer.concat([magic, Buffer.of(descriptor), await exactly(reader, rest)]);
  for (;;) {
    const header = await exactly(reader, 3);
    const value = header.readUIntLE(0, 3);
    // A repeated byte is one byte, however often it is repeated. A block has at most 128 KiB; the decoder checks.
    const size = ((value >> 1) & 3) === 1 ? 1 : value >> 3;
    yield size === 0 ? header : Buffer.concat([header, await exactly(reader, size)]);
    if ((value & 1) === 1) break;
  }
  if ((descriptor & 4) !== 0) yield await exactly(reader, 4);
}

async function exactly(reader: ByteReader, size: number): Promise<Buffer> {
  if (size === 0) return Buffer.alloc(0);
  const found = await reader.read(size);
  if (found === undefined) throw new BuildError('IMAGE_INVALID', 'the zstd data is cut short');
  return found;
}
