import { randomBytes } from 'node:crypto';
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { compress, decompress } from '../../src/image/compression.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { readAll, streamOf } from '../../src/util/streams.ts';

const limit = 2 ** 28;
/** 2.5 MiB, half of it random: several blocks. */
const sample = Buffer.concat([randomBytes(1_300_000), Buffer.alloc(1_300_000, 'abc')]);

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe('compress', () => {
  test.each([
    ['gzip', 6],
    ['gzip', 0],
    ['zstd', 3],
  ] as const)('%s %i is what other tools read, whatever the chunks', async (type, level) => {
    const whole = await readAll(compress(streamOf(sample), { type, level }), limit);
    const odd = await readAll(compress(pieces(sample, 77_777), { type, level }), limit);
    expect(odd.equals(whole)).toBe(true);
    const back = type === 'gzip' ? gunzipSync(whole) : zstdDecompressSync(whole);
    expect(back.equals(sample)).toBe(true);
    const own = await readAll(decompress(pieces(whole, 1000), type), limit);
    expect(own.equals(sample)).toBe(true);
  });

  test('nothing compresses to a valid stream', async () => {
    const bytes = await readAll(compress(streamOf(), { type: 'gzip' }), limit);
    expect(gunzipSync(bytes)).toHaveLength(0);
  });

  test('gzip has no time, name or system in it', async () => {
    const bytes = await readAll(compress(streamOf('x'), { type: 'gzip' }), limit);
    expect(bytes.toString('hex', 0, 10)).toBe('1f8b08000000000000ff');
  });

  test('the compressed bytes are those that were promised for this zlib', async () => {
    const text = Buffer.from(Array.from({ length: 200_000 }, (_, at) => `line ${at * 7919}\n`).join(''));
    const bytes = await readAll(compress(streamOf(text), { type: 'gzip' }), limit);
    expect(digestOf(bytes)).toMatchInlineSnapshot(
      `"sha256:51709aa1b315310acb41ae226b890b74d85c1df720d766fee2092591e299eeec"`,
    );
  });

  test('a level that does not exist', () => {
    expect(() => compress(streamOf(), { type: 'gzip', level: 10 })).toThrow('level 10');
    expect(() => compress(streamOf(), { type: 'zstd', level: 1.5 })).toThrow('level 1.5');
  });

  test('an error of the source comes through', async () => {
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield sample;
      throw new Error('the disk is gone');
    };
    for (const type of ['gzip', 'zstd'] as const) {
      await expect(readAll(compress(source(), { type }), limit)).rejects.toThrow('the disk is gone');
    }
  });
});

describe('decompress', () => {
  const invalid = { code: 'IMAGE_INVALID' };

  test('reads gzip of several members', async () => {
    const bytes = Buffer.concat([gzipSync('one '), gzipSync('two')]);
    expect((await readAll(decompress(streamOf(bytes), 'gzip'), limit)).toString()).toBe('one two');
  });

  test('refuses damaged and truncated data', async () => {
    for (const type of ['gzip', 'zstd'] as const) {
      const good = await readAll(compress(streamOf(sample), { type }), limit);
      await expect(readAll(decompress(streamOf(good.subarray(0, 5000)), type), limit)).rejects.toMatchObject(
        invalid,
      );
      await expect(readAll(decompress(streamOf('no such data'), type), limit)).rejects.toMatchObject(invalid);
    }
  });

  test('refuses bombs: by size, and by ratio', async () => {
    const zeros = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < 100; at += 1) yield new Uint8Array(1024 * 1024);
    };
    const bomb = await readAll(compress(zeros(), { type: 'zstd' }), limit);
    const drain = async (options: { maxBytes?: number; maxRatio?: number }): Promise<number> => {
      let size = 0;
      for await (const chunk of decompress(streamOf(bomb), 'zstd', options)) size += chunk.length;
      return size;
    };
    await expect(drain({})).rejects.toMatchObject(invalid);
    await expect(drain({ maxRatio: 1e9, maxBytes: 10_000_000 })).rejects.toMatchObject(invalid);
    await expect(drain({ maxRatio: 1e9 })).resolves.toBe(100 * 1024 * 1024);
  });

  test('an error of the source stays what it is', async () => {
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield gzipSync(sample).subarray(0, 100_000);
      throw Object.assign(new Error('connection lost'), { code: 'ERR_X' });
    };
    await expect(readAll(decompress(source(), 'gzip'), limit)).rejects.toThrow('connection lost');
  });
});

test('zstd data of several frames is read whole, however it is cut into chunks (zstd:chunked)', async () => {
  const frames = Buffer.concat(['one ', 'two ', 'three'].map((text) => zstdCompressSync(text)));
  for (const chunks of [[frames], [frames.subarray(0, 7), frames.subarray(7)]]) {
    const parts: Uint8Array[] = [];
    for await (const part of decompress(streamOf(...chunks), 'zstd')) parts.push(part);
    expect(Buffer.concat(parts).toString()).toBe('one two three');
  }
});
