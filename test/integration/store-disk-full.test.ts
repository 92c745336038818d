import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createReadStream, mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLocalCache } from '../../src/cache/local.ts';
import { writeLayout } from '../../src/image/oci-layout.ts';
import { build, copyImage, loadImage } from '../../src/index.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import { openState } from '../../src/store/state.ts';
import type { State } from '../../src/store/state-record.ts';
import { openStore } from '../../src/store/store.ts';
import type { ByteStream } from '../../src/util/streams.ts';
import { verifying } from '../../src/util/streams.ts';
import type { TempDir } from '../../src/util/temp-dir.ts';
import { makeTempDir } from '../../src/util/temp-dir.ts';
import { makeImage } from '../support/registry-client.ts';
import { suite } from '../support/require.ts';

const megabyte = 1024 * 1024;
const key = digestOf('key');
const record = { key, opKey: key, inputs: [], kind: 'exec', name: 'RUN x', result: 'result' } as const;

async function* chunks(count: number): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < count; index++) yield randomBytes(megabyte);
}

suite('a store on a small filesystem', ['root', 'linux'], () => {
  let temp: TempDir;
  let root: string;

  beforeEach(async () => {
    temp = await makeTempDir();
    root = join(temp.path, 'small');
    mkdirSync(root);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', root]);
  });
  afterEach(async () => {
    execFileSync('umount', [root]);
    await temp[Symbol.asyncDispose]();
  });

  test('a blob that does not fit is DISK_FULL with nothing left, and the store goes on', async () => {
    const store = await openStore(root);
    await expect(store.blobs.put(chunks(20))).rejects.toMatchObject({ code: 'DISK_FULL', exitStatus: 1 });
    // What a registry sends is written by a thread.
    const bytes = (): ByteStream => chunks(20);
    const stream = verifying(bytes(), key, { bytes, wrong: () => new Error('wrong') });
    const expected = { digest: key, size: 20 * megabyte };
    await expect(store.blobs.put(stream, expected)).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(readdirSync(join(root, 'blobs', 'sha256'))).toEqual([]);
    expect(readdirSync(await store.tempDir())).toEqual([]);
    expect((await store.blobs.put(chunks(2))).size).toBe(2 * megabyte);
    await store.close();
  });

  test('names and records that do not fit are DISK_FULL, and what was there stays', async () => {
    const store = await openStore(root);
    const image = {
      mediaType: mediaType.ociConfig,
      digest: await store.blobs.putBytes(Buffer.from('{}')),
      size: 2,
    };
    await store.images.tag(image, 'first');
    store.state.putCacheRecord(record);
    await store.tempDir();
    expect(() => writeFileSync(join(root, 'filler'), Buffer.alloc(20 * megabyte))).toThrow('ENOSPC');
    await expect(store.images.tag(image, 'second')).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(() => {
      for (let count = 0; count < 10_000; count++) {
        store.state.putCacheRecord({ ...record, key: digestOf(`${count}`), name: 'x'.repeat(1000) });
      }
    }).toThrow(expect.objectContaining({ code: 'DISK_FULL' }) as Error);
    expect((await store.images.list()).map(({ name }) => name)).toEqual(['docker.io/library/first:latest']);
    expect(store.state.cacheRecord(key)?.name).toBe('RUN x');
    store.state.putStat({ path: '/f', size: 1n, mtimeNs: 1n, ctimeNs: 1n, ino: 1n, dev: 1n, digest: 'x' });
    await store.close();
  });

  test('wherever the index runs out of space: DISK_FULL is all that is thrown, and with room again it works', () => {
    const index = join(root, 'index');
    const filler = join(root, 'filler');
    const seen = new Set<string>();
    const attempt = (work: () => void): void => {
      try {
        work();
        seen.add('done');
      } catch (error) {
        seen.add((error as { code?: string }).code === 'DISK_FULL' ? 'DISK_FULL' : String(error));
      }
    };
    const use = (state: State, round: string): void => {
      const name = 'x'.repeat(2000);
      for (let count = 0; count < 40; count += 1) {
        const one = { ...record, key: digestOf(`${round} ${count}`), name };
        attempt(() => state.putCacheRecord(one));
      }
      attempt(() =>
        state.transaction(() => {
          for (let count = 0; count < 20; count += 1)
            state.putComponents(digestOf(`${round} ${count}`), Buffer.from(name));
        }),
      );
      attempt(() => state.cacheRecord(key));
      attempt(() => state.upkeep.statCount());
      for (let count = 0; count < 20; count += 1)
        state.putStat({
          path: `/${name}/${round}/${count}`,
          size: 1n,
          mtimeNs: 1n,
          ctimeNs: 1n,
          ino: 1n,
          dev: 1n,
          digest: 'x',
        });
      state.flush();
      attempt(() => state.upkeep.removeStats());
      state.close();
    };
    for (let room = 0; room < 500; room += 4) {
      mkdirSync(index);
      const { bavail, bsize } = statfsSync(root);
      writeFileSync(filler, Buffer.alloc(bavail * bsize - room * 1024));
      use(openState(index), `${room}`);
      rmSync(filler);
      const state = openState(index);
      state.putCacheRecord(record);
      expect(state.cacheRecord(key)?.name).toBe('RUN x');
      expect(state.upkeep.damage()).toBeUndefined();
      state.close();
      rmSync(index, { recursive: true });
    }
    expect([...seen].toSorted()).toEqual(['DISK_FULL', 'done']);
  });

  test('archives and layouts that do not fit are DISK_FULL too', async () => {
    const outside = join(temp.path, 'store');
    const layout = join(temp.path, 'layout');
    // Bytes of chance: a layer is compressed.
    const image = await makeImage([randomBytes(10 * megabyte).toString('latin1')]);
    await writeLayout(layout, [{ image, names: ['docker.io/library/big:1'] }]);
    const source = `oci:${layout}:1`;
    const full = expect.objectContaining({ code: 'DISK_FULL', exitStatus: 1 }) as Error;
    const into = copyImage({ root: outside, source, destination: `oci:${join(root, 'copy')}` });
    await expect(into).rejects.toThrow(full);
    const archive = join(temp.path, 'a.tar');
    await copyImage({ root: outside, source, destination: `oci-archive:${archive}` });
    const store = join(root, 'store');
    await expect(loadImage({ root: store, stream: createReadStream(archive) })).rejects.toThrow(full);
    const again = copyImage({
      root: store,
      source: `oci-archive:${archive}`,
      destination: `oci:${layout}:2`,
    });
    await expect(again).rejects.toThrow(full);
  });

  test('files that do not fit into their directory are DISK_FULL, which is named', async () => {
    const context = join(temp.path, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY big /\n');
    writeFileSync(join(context, 'big'), Buffer.alloc(10 * megabyte));
    const dest = join(root, 'out');
    const building = build({ root: join(temp.path, 'store'), context, outputs: [{ type: 'local', dest }] });
    await expect(building).rejects.toMatchObject({
      code: 'DISK_FULL',
      message: `no space left while writing ${dest}`,
      hint: 'free some space or choose another destination',
    });
  });

  test('a read-only store still answers look-ups, and says that it cannot be written', async () => {
    const first = await openStore(root);
    const digest = await first.blobs.putBytes(Buffer.from('content'));
    first.state.putCacheRecord(record);
    await first.close();
    execFileSync('mount', ['-o', 'remount,ro', root]);
    const store = await openStore(root);
    const cache = createLocalCache<string>({
      store,
      encode: (result) => result,
      decode: (data) => Promise.resolve(typeof data === 'string' ? data : undefined),
    });
    expect(await cache.lookup(key)).toEqual({ result: 'result' });
    expect(Buffer.from(await store.blobs.read(digest, 100)).toString()).toBe('content');
    expect(await store.images.list()).toEqual([]);
    await expect(cache.record(digestOf('b'), 'x', { ...record })).rejects.toMatchObject({
      code: 'STORE_FAILED',
    });
    await expect(cache.claim(digestOf('b'), new AbortController().signal)).rejects.toMatchObject({
      code: 'STORE_FAILED',
    });
    await expect(store.blobs.putBytes(Buffer.from('new'))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await store.close();
  });

  test('a read-only store without an index knows nothing', async () => {
    await (await openStore(root)).close();
    execFileSync('mount', ['-o', 'remount,ro', root]);
    const store = await openStore(root);
    expect(store.state.cacheRecord(key)).toBeUndefined();
    await store.close();
  });
});
