import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { digestOf } from '../../src/oci/digest.ts';
import { openStore } from '../../src/store/store.ts';
import { makeTempDir } from '../../src/util/temp-dir.ts';
import { readAll, streamOf } from '../../src/util/streams.ts';

const content = Buffer.from('some content');
const digest = digestOf(content);

function filesBelow(root: string): string[] {
  return readdirSync(join(root, 'blobs'), { recursive: true, withFileTypes: true })
    .concat(readdirSync(join(root, 'tmp'), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}

test('keeps a stream under its digest and gives it back', async () => {
  await using temp = await makeTempDir();
  await using store = await openStore(temp.path);
  expect(store.blobs.has(digest)).toBe(false);
  expect(store.blobs.size(digest)).toBeUndefined();
  expect(await store.blobs.put(streamOf('some ', 'content'))).toEqual({ digest, size: 12 });
  expect(store.blobs.has(digest)).toBe(true);
  expect(store.blobs.size(digest)).toBe(12);
  expect(readFileSync(store.blobs.path(digest))).toEqual(content);
  const progress: number[] = [];
  const stream = store.blobs.open(digest, { onProgress: (bytes) => progress.push(bytes) });
  expect(await readAll(stream, 100)).toEqual(content);
  expect(progress).toEqual([12]);
  expect(filesBelow(temp.path)).toEqual([digest.slice(7)]);
  await store.blobs.delete(digest);
  await store.blobs.delete(digest);
  expect(store.blobs.has(digest)).toBe(false);
});

test('large and many small chunks arrive whole, from a source that uses its buffer anew', async () => {
  await using temp = await makeTempDir();
  await using store = await openStore(temp.path);
  const expected: Buffer[] = [];
  const shared = Buffer.alloc(1000);
  const source = async function* (): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < 600; index++) {
      const chunk = index % 100 === 0 ? Buffer.alloc(300_000, index) : shared.fill(index);
      expected.push(Buffer.from(chunk));
      yield chunk;
    }
  };
  const { digest: written } = await store.blobs.put(source());
  const whole = Buffer.concat(expected);
  expect(written).toBe(digestOf(whole));
  expect(Buffer.from(await store.blobs.read(written, whole.length)).equals(whole)).toBe(true);
});

test('what is not as expected is refused, and nothing is left', async () => {
  await using temp = await makeTempDir();
  await using store = await openStore(temp.path);
  const wrong = [{ digest: digestOf('other') }, { size: 11 }, { size: 13 }, { digest, size: 5 }];
  for (const expected of wrong) {
    await expect(store.blobs.put(streamOf(content), expected)).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
    });
  }
  expect(filesBelow(temp.path)).toEqual([]);
});

test('an endless stream is cut off at the promised size', async () => {
  await using temp = await makeTempDir();
  await using store = await openStore(temp.path);
  let given = 0;
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    for (;;) {
      given += content.length;
      yield content;
    }
  };
  await expect(store.blobs.put(endless(), { size: 100 })).rejects.toMatchObject({
    code: 'CHECKSUM_MISMATCH',
  });
  expect(given).toBeLessThan(200);
});

test("a source's own error and an abort pass through, and nothing is left", async () => {
  await using temp = await makeTempDir();
  await using store = await openStore(temp.path);
  const broken = async function* (): AsyncGenerator<Uint8Array> {
    yield content;
    throw new RangeError('connection lost');
  };
  await expect(store.blobs.put(broken())).rejects.toThrow(RangeError);
  const controller = new AbortController();
  const slow = async function* (): AsyncGenerator<Uint8Array> {
    yield content;
    controller.abort(new RangeError('enough'));
    yield content;
  };
  await expect(store.blobs.put(slow(), {}, controller.signal)).rejects.toThrow('enough');
  expect(filesBelow(temp.path)).toEqual([]);
});

test('a damaged blob is noticed at the end of reading and dropped, so that it can be made again', async () => {
  await using temp = await makeTempDir();
  await using store = await openStore(temp.path);
  await store.blobs.putBytes(content);
  writeFileSync(store.blobs.path(digest), 'sOme content');
  await expect(store.blobs.read(digest, 100)).rejects.toMatchObject({ code: 'STORE_FAILED' });
  expect(store.blobs.has(digest)).toBe(false);
  await store.blobs.putBytes(content);
  expect(await store.blobs.read(digest, 100)).toEqual(content);
});

test('a blob that a crash of the machine cut short is written again', async () => {
  await using temp = await makeTempDir();
  await using store = await openStore(temp.path);
  writeFileSync(store.blobs.path(digest), 'some');
  await store.blobs.putBytes(content);
  expect(readFileSync(store.blobs.path(digest))).toEqual(content);
});

test('bytes that are there are not written again', async () => {
  await using temp = await makeTempDir();
  await using store = await openStore(temp.path);
  await store.blobs.putBytes(content);
  const before = statSync(store.blobs.path(digest), { bigint: true });
  await store.blobs.putBytes(content);
  // A file that was renamed into place would be another one.
  expect(statSync(store.blobs.path(digest), { bigint: true }).ino).toBe(before.ino);
});

test('a missing blob, and one above the limit', async () => {
  await using temp = await makeTempDir();
  await using store = await openStore(temp.path);
  await expect(store.blobs.read(digest, 100)).rejects.toMatchObject({ code: 'STORE_FAILED' });
  await store.blobs.putBytes(content);
  await expect(store.blobs.read(digest, 11)).rejects.toMatchObject({ code: 'STORE_FAILED' });
});

test('the store is made for its owner alone, and only once', async () => {
  await using temp = await makeTempDir();
  const root = join(temp.path, 'a', 'store');
  await (await openStore(root)).close();
  expect(statSync(root).mode & 0o777).toBe(0o700);
  expect(JSON.parse(readFileSync(join(root, 'oci-layout'), 'utf8'))).toEqual({ imageLayoutVersion: '1.0.0' });
  writeFileSync(join(root, 'index.json'), '{"schemaVersion":2,"manifests":[],"x":1}');
  await (await openStore(root)).close();
  expect(readFileSync(join(root, 'index.json'), 'utf8')).toContain('"x":1');
});

test('a store that cannot be made is one clear error', async () => {
  await using temp = await makeTempDir();
  writeFileSync(join(temp.path, 'file'), '');
  await expect(openStore(join(temp.path, 'file', 'store'))).rejects.toMatchObject({ code: 'STORE_FAILED' });
});

test('the temporary directory goes with the store; one of a dead process goes with the next build', async () => {
  await using temp = await makeTempDir();
  const dead = join(temp.path, 'tmp', '1-0123456789ab');
  mkdirSync(join(dead, 'below'), { recursive: true });
  writeFileSync(join(dead, 'below', 'blob-0'), 'x');
  const other = await openStore(temp.path);
  const living = await other.tempDir();
  const store = await openStore(temp.path);
  const own = await store.tempDir();
  expect(
    readdirSync(join(temp.path, 'tmp'))
      .map((name) => join(temp.path, 'tmp', name))
      .toSorted(),
  ).toEqual([living, own].toSorted());
  expect(statSync(own).mode & 0o777).toBe(0o700);
  await Promise.all([store.close(), store.close(), other.close()]);
  expect(readdirSync(join(temp.path, 'tmp'))).toEqual([]);
});
