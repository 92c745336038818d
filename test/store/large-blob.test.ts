import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Digest } from '../../src/oci/digest.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { BlobWriter } from '../../src/store/blob-writer.ts';
import { openBlobWriter } from '../../src/store/blob-writer.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/store.ts';
import { makeTempDir } from '../../src/util/temp-dir.ts';
import type { ByteStream } from '../../src/util/streams.ts';
import { through, unverified, verifying } from '../../src/util/streams.ts';

const MiB = 1024 * 1024;
const piece = randomBytes(MiB);

interface Offer {
  readonly pieces: number;
  readonly digest: Digest;
  /** Consumed in its verified form, and in the other. */
  readonly taken: string[];
  readonly stream: ByteStream;
}

/** A stream of `pieces` MiB that says it is verified, and can be had without; `break` comes after half of it. */
function offer(pieces: number, fail?: Error): Offer {
  const taken: string[] = [];
  const bytes = async function* (how: string): ByteStream {
    taken.push(how);
    for (let index = 0; index < pieces; index++) {
      if (fail !== undefined && index === pieces / 2) throw fail;
      // Each its own memory: who takes it may give it away.
      yield Uint8Array.from(piece);
    }
  };
  const digest = digestOf(Buffer.concat(Array.from({ length: pieces }, () => piece)));
  const stream = verifying(bytes('verified'), digest, {
    bytes: () => bytes('as it comes'),
    wrong: (actual) => new Error(`the source lies: ${actual}`),
  });
  return { pieces, digest, taken, stream };
}

const leftIn = (store: Store, root: string): string[] => [
  ...readdirSync(join(root, 'blobs', 'sha256')),
  ...readdirSync(join(root, 'tmp'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.startsWith('blob-'))
    .map(({ name }) => name),
];

test('large blobs are written and hashed in a thread, several at once; small ones come verified', async () => {
  await using temp = await makeTempDir();
  await using store = await openStore(temp.path);
  const offers = [offer(40), offer(17), offer(24), offer(2)];
  const sizes = offers.map(({ pieces }) => pieces * MiB);
  const put = await Promise.all(
    offers.map(({ digest, stream }, index) => store.blobs.put(stream, { digest, size: sizes[index] })),
  );
  expect(put).toEqual(offers.map(({ digest }, index) => ({ digest, size: sizes[index] })));
  expect(offers.map(({ taken }) => taken)).toEqual([
    ['as it comes'],
    ['as it comes'],
    ['as it comes'],
    ['verified'],
  ]);
});

test('wrong bytes are told by who sent them, and nothing is left', async () => {
  await using temp = await makeTempDir();
  await using store = await openStore(temp.path);
  const { stream, digest: actual } = offer(20);
  const digest = digestOf('something else');
  // As a registry would that sends other bytes: the stream promises one digest and has another.
  const lying = verifying(stream, digest, unverified(stream) ?? expect.fail('no other form'));
  await expect(store.blobs.put(lying, { digest, size: 20 * MiB })).rejects.toThrow(
    `the source lies: ${actual}`,
  );
  expect(leftIn(store, temp.path)).toEqual([]);
});

test('another size, a broken source and an abort leave nothing, and the next blob is kept', async () => {
  await using temp = await makeTempDir();
  await using store = await openStore(temp.path);
  for (const size of [19 * MiB, 21 * MiB]) {
    const { stream, digest } = offer(20);
    await expect(store.blobs.put(stream, { digest, size })).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
    });
  }
  const broken = offer(20, new Error('the line broke'));
  const expected = { digest: broken.digest, size: 20 * MiB };
  await expect(store.blobs.put(broken.stream, expected)).rejects.toThrow('the line broke');
  const stop = new AbortController();
  const watched = through(offer(20).stream, async function* (bytes): ByteStream {
    for await (const chunk of bytes) {
      yield chunk;
      stop.abort(new Error('enough'));
    }
  });
  await expect(store.blobs.put(watched, expected, stop.signal)).rejects.toThrow('enough');
  expect(leftIn(store, temp.path)).toEqual([]);
  await store.blobs.put(offer(20).stream, expected);
  expect(leftIn(store, temp.path)).toEqual([expected.digest.slice(7)]);
});

test('what goes wrong in the thread is told where it is waited for, and other files go on', async () => {
  await using temp = await makeTempDir();
  const open = (path: string): BlobWriter => openBlobWriter(path) ?? expect.fail('no thread');
  const lost = open(join(temp.path, 'nothing'));
  await lost.write([Buffer.from('x')]);
  await expect(lost.end()).rejects.toMatchObject({ code: 'ENOENT' });
  // The device is full at once.
  const full = open('/dev/full');
  await full.write([randomBytes(MiB)]);
  await expect(full.end()).rejects.toMatchObject({ code: 'ENOSPC' });
  await writeFile(join(temp.path, 'file'), '');
  const writer = open(join(temp.path, 'file'));
  const parts = [
    randomBytes(20_000),
    randomBytes(5 * MiB),
    Buffer.alloc(100, 'small parts of larger memory'),
  ];
  const whole = Buffer.concat(parts);
  for (const part of parts) await writer.write([part.subarray(0, 10_000), part.subarray(10_000)]);
  expect(await writer.end()).toBe(digestOf(whole).slice(7));
  expect((await readFile(join(temp.path, 'file'))).equals(whole)).toBe(true);
});

test('where no thread can be had, large blobs are written all the same', async () => {
  await using temp = await makeTempDir();
  const blob = Buffer.alloc(17 * MiB, piece);
  const root = join(import.meta.dirname, '../../src');
  const script = join(temp.path, 'script.ts');
  await writeFile(
    script,
    `import { mkdirSync } from 'node:fs';
    import { openFsBlobStore } from '${root}/store/fs-blob-store.ts';
    import { openBlobWriter } from '${root}/store/blob-writer.ts';
    import { streamOf, verifying } from '${root}/util/streams.ts';
    const root = import.meta.dirname;
    mkdirSync(root + '/blobs/sha256', { recursive: true });
    const open = () => streamOf(Buffer.alloc(${blob.length}, Buffer.from('${piece.toString('base64')}', 'base64')));
    const digest = process.argv[2];
    const stream = verifying(open(), digest, { bytes: open, wrong: (actual) => new Error(actual) });
    await openFsBlobStore(root, async () => root).put(stream, { digest, size: ${blob.length} });
    if (openBlobWriter('x') !== undefined) throw new Error('there is a thread');`,
  );
  const digest = digestOf(blob);
  const flags = ['--permission', '--allow-fs-read=*', '--allow-fs-write=*', '--no-warnings'];
  await promisify(execFile)(process.execPath, [...flags, script, digest]);
  expect((await readFile(join(temp.path, 'blobs/sha256', digest.slice(7)))).equals(blob)).toBe(true);
});
