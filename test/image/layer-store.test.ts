import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { toLayer } from '../../src/image/derive.ts';
import type { Layer } from '../../src/image/layer.ts';
import type { Entry } from '../../src/image/entry.ts';
import { writeTar } from '../../src/image/tar.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { digestHex, digestOf } from '../../src/oci/digest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import type { ByteStream } from '../../src/util/streams.ts';
import { readAll, streamOf } from '../../src/util/streams.ts';
import { dir, file, hardlink, opaque, streamOfEntries, symlink, textOf, whiteout } from './entries.ts';
import { localStore } from './local-store.ts';

const some: readonly Entry[] = [
  dir('a', { xattrs: { 'user.note': Buffer.from([0, 255]) } }),
  file('a/one', 'first content'),
  file('a/two', 'second', { mtime: 1n }),
  hardlink('a/three', 'a/one'),
  symlink('l', 'a'),
  { ...file('dev'), type: 'char', devMajor: 1, devMinor: 3 },
  whiteout('gone'),
  opaque('a'),
];

/** A layer as a registry has it, that counts how often it is fetched. */
async function remoteLayer(
  ...entries: readonly Entry[]
): Promise<{ layer: Layer; diffId: Digest; fetched: () => number }> {
  const tar = await readAll(writeTar(streamOfEntries(...entries)), 1e8);
  const blob = gzipSync(tar);
  let count = 0;
  const open = (): ByteStream => {
    count += 1;
    return streamOf(blob);
  };
  const descriptor = { mediaType: mediaType.dockerLayerGzip, digest: digestOf(blob), size: blob.length };
  const diffId = digestOf(tar);
  return { layer: toLayer({ kind: 'compressed', descriptor, diffId, open }), diffId, fetched: () => count };
}

describe('fromEntries', () => {
  test('makes a layer whose digests are those of its bytes', async () => {
    using store = localStore();
    const layer = await store.layers.fromEntries(streamOfEntries(...some));
    const tar = await readAll(layer.uncompressed(), 1e6);
    const blob = await readAll(layer.compressed(), 1e6);
    expect(layer.knownDiffId).toBe(digestOf(tar));
    expect(await layer.diffId()).toBe(layer.knownDiffId);
    expect(await layer.digest()).toBe(digestOf(blob));
    expect(await layer.size()).toBe(blob.length);
    expect(await layer.mediaType()).toBe(mediaType.ociLayerGzip);
    expect(readdirSync(join(store.root, 'tmp'))).toEqual([]);
  });

  test('compresses nothing until it is asked, then once', async () => {
    using store = localStore();
    const layer = await store.layers.fromEntries(streamOfEntries(...some));
    expect([layer.hasBlob(), layer.hasLocal(), store.table.size]).toEqual([false, true, 0]);
    await Promise.all([layer.digest(), layer.size(), layer.storeBlob(), readAll(layer.compressed(), 1e6)]);
    expect(layer.hasBlob()).toBe(true);
    expect(readdirSync(join(store.root, 'blobs', 'sha256'))).toHaveLength(1);
  });

  test('is found again by another process, with the same index', async () => {
    using store = localStore();
    const layer = await store.layers.fromEntries(streamOfEntries(...some));
    const again = store.reopen().get(layer.knownDiffId);
    expect(await again?.index()).toEqual(await layer.index());
    expect(await textOf(again?.readFile('a/one'))).toBe('first content');
    expect(store.layers.get(digestOf('another'))).toBeUndefined();
  });

  test('the index tells places and digests of contents', async () => {
    using store = localStore();
    const layer = await store.layers.fromEntries(streamOfEntries(...some));
    const tar = await readAll(layer.uncompressed(), 1e6);
    const { entries } = await layer.index();
    expect(entries.map(({ entry }) => entry.path)).toEqual(some.map(({ path }) => path));
    for (const { entry, offset, digest } of entries) {
      if (entry.type !== 'file') continue;
      const content = tar.subarray(offset, offset + entry.size);
      expect(digest).toBe(digestOf(content));
    }
  });

  test('refuses names that would read as whiteouts', async () => {
    using store = localStore();
    await expect(store.layers.fromEntries(streamOfEntries(file('a/.wh.b')))).rejects.toMatchObject({
      code: 'COPY_INVALID',
    });
    expect(readdirSync(join(store.root, 'tmp'))).toEqual([]);
  });

  test('uses the compression asked for, and keeps a blob that there is', async () => {
    using store = localStore();
    const zstd = await store.reopen({ compression: { type: 'zstd' } }).fromEntries(streamOfEntries(...some));
    expect(await zstd.mediaType()).toBe(mediaType.ociLayerZstd);
    const gzip = await store.reopen({ compression: { type: 'gzip' } }).fromEntries(streamOfEntries(...some));
    expect(await gzip.digest()).toBe(await zstd.digest());
  });

  test('a tar that was tampered with is noticed, and dropped so that it is made anew', async () => {
    using store = localStore();
    const layer = await store.layers.fromEntries(streamOfEntries(file('f', 'x'.repeat(600))));
    const path = join(store.root, 'layers', digestHex(layer.knownDiffId), 'tar');
    const bytes = readFileSync(path);
    bytes[700] = 0x79;
    writeFileSync(path, bytes);
    await expect(textOf(layer.readFile('f'))).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
    await expect(layer.digest()).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(store.table.size).toBe(0);
    expect(existsSync(path)).toBe(false);
  });

  test('an abort ends it and leaves nothing', async () => {
    using store = localStore();
    const controller = new AbortController();
    const entries = async function* (): AsyncGenerator<Entry> {
      yield file('a', 'x'.repeat(300_000));
      controller.abort(new Error('enough'));
      yield file('b', 'x'.repeat(300_000));
    };
    await expect(store.layers.fromEntries(entries(), { signal: controller.signal })).rejects.toThrow(
      'enough',
    );
    expect(readdirSync(join(store.root, 'tmp'))).toEqual([]);
  });
});

describe('fromRemote', () => {
  test('fetches nothing to say what it is, and once to be read', async () => {
    using store = localStore();
    const { layer, diffId, fetched } = await remoteLayer(...some);
    const stored = store.layers.fromRemote(diffId, layer);
    expect([await stored.digest(), await stored.mediaType(), stored.hasLocal()]).toEqual([
      await layer.digest(),
      mediaType.dockerLayerGzip,
      false,
    ]);
    expect(fetched()).toBe(0);
    await Promise.all([stored.index(), textOf(stored.readFile('a/two')), readAll(stored.compressed(), 1e6)]);
    expect(fetched()).toBe(1);
    expect(await textOf(stored.readFile('a/one'))).toBe('first content');
    expect([stored.hasLocal(), stored.hasBlob(), fetched()]).toEqual([true, true, 1]);
    expect(store.reopen().get(diffId)?.hasBlob()).toBe(true);
  });

  test('a failed fetch is tried again', async () => {
    using store = localStore();
    const { layer, diffId } = await remoteLayer(...some);
    let broken = true;
    const flaky: Layer = {
      ...layer,
      compressed: (options) => {
        if (broken) throw new Error('connection reset');
        return layer.compressed(options);
      },
    };
    const stored = store.layers.fromRemote(diffId, flaky);
    await expect(stored.index()).rejects.toThrow('connection reset');
    broken = false;
    expect((await stored.index()).entries).toHaveLength(some.length);
  });

  test('a fetch goes on while one of its readers stays, and ends with the last', async () => {
    using store = localStore();
    const { layer, diffId } = await remoteLayer(...some);
    const seen: AbortSignal[] = [];
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const slow: Layer = {
      ...layer,
      compressed: async function* (options) {
        if (options?.signal !== undefined) seen.push(options.signal);
        await gate;
        yield* layer.compressed(options);
      },
    };
    const stored = store.layers.fromRemote(diffId, slow);
    const first = new AbortController();
    const second = new AbortController();
    const leaving = stored.storeBlob({ signal: first.signal });
    const staying = stored.storeBlob({ signal: second.signal });
    await expect.poll(() => seen.length).toBe(1);
    first.abort(new Error('left'));
    await expect(leaving).rejects.toThrow('left');
    expect(seen[0]?.aborted).toBe(false);
    go();
    await staying;
    expect(stored.hasBlob()).toBe(true);
  });

  test('the last reader that leaves ends the fetch', async () => {
    using store = localStore();
    const { layer, diffId } = await remoteLayer(...some);
    const aborted = Promise.withResolvers<void>();
    const endless: Layer = {
      ...layer,
      compressed: async function* (options) {
        const stopped = new Promise<never>((_, reject) => {
          options?.signal?.addEventListener('abort', () => {
            aborted.resolve();
            reject(new Error('stopped'));
          });
        });
        yield Buffer.alloc(1);
        await stopped;
      },
    };
    const controller = new AbortController();
    const waiting = store.layers.fromRemote(diffId, endless).storeBlob({ signal: controller.signal });
    setTimeout(() => controller.abort(new Error('interrupted')), 20);
    await expect(waiting).rejects.toThrow('interrupted');
    await aborted.promise;
  });

  test('content that is not that of its diff_id is kept in no form and never passes for the layer', async () => {
    using store = localStore();
    const evil = await remoteLayer(file('etc/passwd', 'evil'));
    const good = await store.layers.fromEntries(streamOfEntries(file('good', 'x')));
    const stored = store
      .reopen()
      .fromRemote(good.knownDiffId, { ...evil.layer, diffId: () => good.diffId() });
    await stored.storeBlob();
    expect(store.table.get(good.knownDiffId)).toBeUndefined();
    expect(await textOf(store.reopen().get(good.knownDiffId)?.readFile('good'))).toBe('x');
    const claimed = digestOf('nothing');
    const other = store.layers.fromRemote(claimed, { ...evil.layer, diffId: async () => claimed });
    await expect(other.index()).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
    await expect(textOf(other.readFile('etc/passwd'))).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
    expect(existsSync(join(store.root, 'layers', digestHex(claimed)))).toBe(false);
    expect(store.reopen().get(claimed)).toBeUndefined();
  });

  test('a blob with other bytes than its digest is not kept', async () => {
    using store = localStore();
    const { layer, diffId } = await remoteLayer(...some);
    const stored = store.layers.fromRemote(diffId, {
      ...layer,
      compressed: () => streamOf('something else'),
    });
    await expect(stored.index()).rejects.toThrow(/digest|bytes/);
    expect([stored.hasLocal(), readdirSync(join(store.root, 'blobs', 'sha256'))]).toEqual([false, []]);
  });
});
