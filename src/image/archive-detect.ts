import type * as zlibModule from 'node:zlib';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { unpackBzip2 } from './bzip2.ts';
import type { EntryStream } from './entry.ts';
import { readTar } from './tar.ts';
import { unpackXz } from './xz.ts';
import { zstdFrames } from './zstd-frames.ts';

type Zlib = typeof zlibModule;
type Packing = 'none' | 'gzip' | 'bzip2' | 'xz' | 'zstd';

const magics: readonly (readonly [Packing, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b, 0x08]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];

/**
 * An archive that unpacks to more than `freeBytes`, and to more than `largestRatio` times its size, is a bomb (S-P-3). gzip, the weakest
 * of them, packs zeros 1030 times; what people pack is below 50.
 */
const freeBytes = 1024 ** 3;
const largestRatio = 500;
const largestArchive = 1024 ** 4;

/**
 * Finds out by its bytes whether a file is a tar archive, plain or packed with gzip, bzip2, xz or zstd (L-ADD-1): its first header
 * must parse. undefined: it is none. The result opens its entries, each time anew, whiteout names as ordinary names; it throws
 * COPY_INVALID for an archive that is broken further on, that leads out, or that unpacks to hundreds of times its size and is large.
 */
export async function openArchive(content: () => ByteStream): Promise<(() => EntryStream) | undefined> {
  const packing = packingOf(await head(content(), 6));
  if (!(await startsWithHeader(unpack(content(), packing)))) return undefined;
  return () => entriesOf(content, packing);
}

function packingOf(bytes: Uint8Array): Packing {
  return magics.find(([, magic]) => magic.every((byte, index) => bytes[index] === byte))?.[0] ?? 'none';
}

async function* entriesOf(content: () => ByteStream, packing: Packing): EntryStream & AsyncGenerator {
  try {
    yield* readTar(unpack(content(), packing), { whiteouts: false, limits: { totalBytes: largestArchive } });
  } catch (error) {
    throw broken(error);
  }
}

/** The unpacked bytes; counts what goes in and what comes out. */
async function* unpack(packed: ByteStream, packing: Packing): AsyncGenerator<Uint8Array> {
  let before = 0;
  let after = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of packed) {
      before += chunk.length;
      yield chunk;
    }
  }
  try {
    for await (const chunk of decoders[packing](counted())) {
      after += chunk.length;
      if (after > freeBytes && after > before * largestRatio) {
        throw new BuildError(
          'COPY_INVALID',
          `the archive unpacks to more than ${largestRatio} times its size`,
          {
            hint: 'if it is what you want: with --unpack=false it is copied as it is, and a RUN can unpack it',
          },
        );
      }
      yield chunk;
    }
  } catch (error) {
    throw broken(error);
  }
}

function broken(error: unknown): unknown {
  if (error instanceof BuildError && error.code !== 'IMAGE_INVALID') return error;
  const reason = error instanceof Error ? error.message : String(error);
  const why = (error instanceof BuildError ? error.hint : undefined) ?? 'it is cut short or damaged';
  return new BuildError('COPY_INVALID', `the archive cannot be unpacked: ${reason}`, {
    hint: `${why}; with --unpack=false it is copied as it is`,
    cause: error,
  });
}

const decoders: Readonly<Record<Packing, (packed: AsyncGenerator<Uint8Array>) => ByteStream>> = {
  none: (packed) => packed,
  gzip: (packed) => viaZlib(packed, (zlib) => zlib.createGunzip({ chunkSize: 256 * 1024 })),
  zstd: (packed) =>
    viaZlib(zstdFrames(packed), (zlib) => zlib.createZstdDecompress({ chunkSize: 256 * 1024 })),
  bzip2: unpackBzip2,
  xz: unpackXz,
};

async function* viaZlib(
  packed: AsyncGenerator<Uint8Array>,
  create: (zlib: Zlib) => NodeJS.ReadWriteStream,
): AsyncGenerator<Uint8Array> {
  const [zlib, stream] = await Promise.all([import('node:zlib'), import('node:stream')]);
  const unpacked = create(zlib);
  // A failure of the source waits until what came before it is unpacked: whether a file is an archive must not be a race.
  let failure: { readonly error: unknown } | undefined;
  async function* held(): AsyncGenerator<Uint8Array> {
    try {
      yield* packed;
    } catch (error) {
      failure = { error };
    }
  }
  // Tears both sides down when the decoder fails or the consumer leaves; the iteration is what reports the error.
  stream.pipeline(stream.Readable.from(held(), { objectMode: false }), unpacked, () => undefined);
  try {
    for await (const chunk of unpacked) yield chunk as Uint8Array;
  } catch (error) {
    failure ??= { error };
  }
  if (failure !== undefined) throw failure.error;
}

async function head(bytes: ByteStream, size: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of bytes) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= size) break;
  }
  return Buffer.concat(chunks).subarray(0, size);
}

/** Whether the first tar header parses: its checksum is what decides. */
async function startsWithHeader(bytes: AsyncGenerator<Uint8Array>): Promise<boolean> {
  let block: Uint8Array;
  try {
    block = await head(bytes, 512);
  } catch {
    // Looked packed, and is not: an ordinary file.
    return false;
  }
  if (block.length < 512) return false;
  const written = Number.parseInt(
    Buffer.from(block.subarray(148, 156)).toString('latin1').replace(/\0.*/s, '').trim(),
    8,
  );
  let unsigned = 0;
  let signed = 0;
  for (const [index, byte] of block.entries()) {
    const value = index >= 148 && index < 156 ? 0x20 : byte;
    unsigned += value;
    signed += value > 127 ? value - 256 : value;
  }
  return written === unsigned || written === signed;
}
