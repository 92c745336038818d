import { availableParallelism } from 'node:os';
import { Readable, pipeline } from 'node:stream';
import type * as zlibModule from 'node:zlib';
import type { Compression } from '../oci/media-type.ts';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { zstdFrames } from './zstd-frames.ts';

/** Loaded when something is packed or unpacked: a cached build does neither. */
function zlib(): typeof zlibModule {
  return process.getBuiltinModule('node:zlib');
}

export interface CompressOptions {
  readonly type: Compression;
  /** gzip 0 to 9, default 6; zstd 0 to 22, default 3, which is what 0 means too. Higher is smaller and slower. */
  readonly level?: number | undefined;
}

/** Input bytes that are compressed at once. Part of the promise of equal bytes: changing it changes every digest. */
const blockSize = 1024 * 1024;

/**
 * Compresses. The result depends on the input's bytes, type, level and the zlib that Node has, never on the number of
 * cores or the chunks of the input. Holds a few blocks of 1 MiB in memory. Throws USAGE for a level that does not exist.
 */
export function compress(bytes: ByteStream, options: CompressOptions): ByteStream {
  const { type, level } = options;
  checkLevel(type, level);
  switch (type) {
    case 'none':
      return bytes;
    case 'gzip':
      return gzip(bytes, level ?? 6);
    case 'zstd':
      return zstd(bytes, level ?? 3);
    default:
      throw new Error(`no such compression: ${String(type)}`);
  }
}

/** Throws USAGE for a level that a compression does not have. What is not compressed has none, and says nothing about it. */
export function checkLevel(type: Compression, level: number | undefined): void {
  if (level === undefined || type === 'none') return;
  const highest = type === 'zstd' ? 22 : 9;
  if (Number.isInteger(level) && level >= 0 && level <= highest) return;
  throw new BuildError('USAGE', `${type} has no compression level ${level}`, {
    hint: `it has 0 to ${highest}`,
  });
}

/**
 * One gzip member (RFC 1952) of blocks compressed apart from each other, each ended by a full flush. They run on the threads
 * that Node keeps for zlib: no worker has to be started, and no memory is copied between heaps.
 */
async function* gzip(bytes: ByteStream, level: number): AsyncGenerator<Uint8Array> {
  // No name, no time, unknown system.
  yield Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
  const running: Promise<Buffer>[] = [];
  // Node has four such threads; one block more than run at once keeps them busy.
  const ahead = Math.min(availableParallelism(), 4) + 1;
  let crc = 0;
  let size = 0n;
  for await (const block of blocks(bytes)) {
    crc = zlib().crc32(block, crc);
    size += BigInt(block.length);
    const deflated = deflateBlock(block, level);
    // A failure is thrown where the block's turn comes; until then it has no listener.
    deflated.catch(() => undefined);
    running.push(deflated);
    if (running.length >= ahead) yield await (running.shift() as Promise<Buffer>);
  }
  for (const deflated of running) yield await deflated;
  // An empty last block, the checksum, and the size modulo 2^32.
  const end = Buffer.alloc(10);
  end[0] = 3;
  end.writeUInt32LE(crc, 2);
  end.writeUInt32LE(Number(BigInt.asUintN(32, size)), 6);
  yield end;
}

function deflateBlock(block: Uint8Array, level: number): Promise<Buffer> {
  const options = {
    level,
    finishFlush: zlib().constants.Z_FULL_FLUSH,
    // Room for the worst case, so that one call of zlib does all.
    chunkSize: block.length + (block.length >> 6) + 1024,
  };
  return new Promise((resolve, reject) => {
    zlib().deflateRaw(block, options, (error, result) => {
      if (error === null) resolve(result);
      else reject(error);
    });
  });
}

function zstd(bytes: ByteStream, level: number): ByteStream {
  const { constants, createZstdCompress } = zlib();
  const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 };
  return through(blocks(bytes), createZstdCompress({ params, chunkSize: 256 * 1024 }));
}

/** The same bytes in blocks of `blockSize`, the last one shorter. */
async function* blocks(bytes: ByteStream): AsyncGenerator<Uint8Array> {
  let block = Buffer.allocUnsafeSlow(blockSize);
  let used = 0;
  for await (const chunk of bytes) {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + blockSize - used);
      block.set(part, used);
      used += part.length;
      at += part.length;
      if (used < blockSize) continue;
      yield block;
      block = Buffer.allocUnsafeSlow(blockSize);
      used = 0;
    }
  }
  if (used > 0) yield block.subarray(0, used);
}

export interface DecompressOptions {
  /** Refuses what grows more than this many times, once it is past 64 MiB. */
  readonly maxRatio?: number;
  /** Refuses more uncompressed bytes than this. */
  readonly maxBytes?: number;
}

const ratioSlack = 64 * 1024 * 1024;

/** Decompresses foreign data, gzip with any number of members. Throws IMAGE_INVALID for damaged data and for bombs. */
export async function* decompress(
  bytes: ByteStream,
  type: Compression,
  options: DecompressOptions = {},
): AsyncGenerator<Uint8Array> {
  // Deflate cannot exceed 1032; zstd can reach what no layer needs.
  const { maxRatio = 1100, maxBytes = 2 ** 42 } = options;
  let taken = 0;
  let given = 0;
  let sourceError: unknown;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of bytes) {
        taken += chunk.length;
        yield chunk;
      }
    } catch (error) {
      sourceError = error;
      throw error;
    }
  };
  try {
    for await (const chunk of type === 'none' ? bytes : through(framed(counted(), type), decoder(type))) {
      given += chunk.length;
      if (given > maxBytes) throw bomb(`more than ${maxBytes} bytes`);
      if (type !== 'none' && given > ratioSlack && given > taken * maxRatio)
        throw bomb(`more than ${maxRatio} times its size`);
      yield chunk;
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error === sourceError || error instanceof BuildError || !/^(Z_|ZSTD_|ERR_)/.test(code ?? ''))
      throw error;
    throw new BuildError('IMAGE_INVALID', `${type} data is damaged: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function decoder(type: 'gzip' | 'zstd'): zlibModule.Gunzip | zlibModule.ZstdDecompress {
  const options = { chunkSize: 256 * 1024 };
  return type === 'gzip' ? zlib().createGunzip(options) : zlib().createZstdDecompress(options);
}

/** Layers of zstd:chunked have a frame per file, and Node's decoder stops at the first of a chunk. */
function framed(bytes: ByteStream, type: 'gzip' | 'zstd'): ByteStream {
  return type === 'zstd' ? zstdFrames(bytes) : bytes;
}

function bomb(what: string): BuildError {
  return new BuildError('IMAGE_INVALID', `compressed data unpacks to ${what}`);
}

/** A Node transform as a function of streams: errors of either side end both, and a consumer that stops frees both. */
async function* through(
  bytes: ByteStream,
  transform: NodeJS.ReadWriteStream & Readable,
): AsyncGenerator<Uint8Array> {
  pipeline(Readable.from(bytes, { objectMode: false, highWaterMark: 1 }), transform, () => undefined);
  for await (const chunk of transform) yield chunk as Uint8Array;
}
