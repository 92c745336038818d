import { readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/store.ts';
import { makeTempDir } from '../../src/util/temp-dir.ts';

/** A whole image, whose only content is `text`. */
async function image(store: Store, text: string): Promise<Descriptor> {
  const blob = async (type: string, bytes: Buffer): Promise<Descriptor> => ({
    mediaType: type,
    digest: await store.blobs.putBytes(bytes),
    size: bytes.length,
  });
  const manifest = {
    schemaVersion: 2,
    config: await blob(mediaType.ociConfig, Buffer.from(`{"architecture":"${text}"}`)),
    layers: [await blob(mediaType.ociLayer, Buffer.from(`layer ${text}`))],
  };
  return blob(mediaType.ociManifest, Buffer.from(JSON.stringify(manifest)));
}

interface RawIndex {
  readonly manifests: readonly (Descriptor & { annotations?: Record<string, string> })[];
}
const rawIndex = (root: string): RawIndex =>
  JSON.parse(readFileSync(join(root, 'index.json'), 'utf8')) as RawIndex;

describe('names', () => {
  test('are written as skopeo, podman and containerd look for them', async () => {
    await using temp = await makeTempDir();
    await using store = await openStore(temp.path);
    const descriptor = await image(store, 'a');
    await store.images.tag(descriptor, ['docker.io/library/my-ubuntu:0.1', 'localhost:5000/team/app:1']);
    expect(rawIndex(temp.path).manifests.map(({ annotations }) => annotations)).toEqual([
      {
        'io.containerd.image.name': 'docker.io/library/my-ubuntu:0.1',
        'org.opencontainers.image.ref.name': 'my-ubuntu:0.1',
      },
      {
        'io.containerd.image.name': 'localhost:5000/team/app:1',
        'org.opencontainers.image.ref.name': 'localhost:5000/team/app:1',
      },
    ]);
    expect(await store.images.find('my-ubuntu:0.1')).toEqual(descriptor);
    expect(await store.images.find('docker.io/library/my-ubuntu:0.1')).toEqual(descriptor);
    expect(await store.images.find('my-ubuntu')).toBeUndefined();
  });

  test('of other programs count too', async () => {
    await using temp = await makeTempDir();
    await using store = await openStore(temp.path);
    const descriptor = await image(store, 'a');
    const annotations = { 'org.opencontainers.image.ref.name': 'theirs:2' };
    writeFileSync(
      join(temp.path, 'index.json'),
      JSON.stringify({ schemaVersion: 2, manifests: [{ ...descriptor, annotations }] }),
    );
    expect(await store.images.list()).toEqual([{ name: 'docker.io/library/theirs:2', descriptor }]);
    expect(await store.images.remove('theirs:2')).toHaveLength(1);
    expect(await store.images.list()).toEqual([]);
  });

  test('move to a new image; the old one stays by its digest', async () => {
    await using temp = await makeTempDir();
    await using store = await openStore(temp.path);
    const [a, b] = [await image(store, 'a'), await image(store, 'b')];
    await store.images.tag(a, 'app');
    await store.images.tag(b, 'app');
    expect(await store.images.list()).toEqual([
      { name: undefined, descriptor: a },
      { name: 'docker.io/library/app:latest', descriptor: b },
    ]);
    await store.images.tag(a, 'old');
    expect((await store.images.list()).map(({ name }) => name)).toEqual([
      'docker.io/library/app:latest',
      'docker.io/library/old:latest',
    ]);
    await store.images.tag(b, []);
    expect(await store.images.list()).toHaveLength(2);
    expect(await store.images.remove(b.digest)).toHaveLength(1);
    expect(await store.images.remove(b.digest)).toEqual([]);
  });

  test('that are so already cost no write', async () => {
    await using temp = await makeTempDir();
    await using store = await openStore(temp.path);
    const descriptor = await image(store, 'a');
    await store.images.tag(descriptor, ['app', 'app:2']);
    const before = statSync(join(temp.path, 'index.json'), { bigint: true });
    await store.images.tag(descriptor, ['app:2', 'app:latest']);
    expect(statSync(join(temp.path, 'index.json'), { bigint: true }).ino).toBe(before.ino);
  });

  test('given at once by many stores are all there', async () => {
    await using temp = await makeTempDir();
    const stores = await Promise.all(Array.from({ length: 5 }, () => openStore(temp.path)));
    const descriptor = await image(stores[0] as Store, 'a');
    await Promise.all(
      stores.flatMap((store, index) =>
        ['x', 'y'].map((name) => store.images.tag(descriptor, `${name}:${index}`)),
      ),
    );
    expect(await stores[0]?.images.list()).toHaveLength(10);
    await Promise.all(stores.map((store) => store.close()));
  });

  test('are refused for an image that is not whole', async () => {
    await using temp = await makeTempDir();
    await using store = await openStore(temp.path);
    const descriptor = await image(store, 'a');
    await store.blobs.delete(digestOf('layer a'));
    await expect(store.images.tag(descriptor, 'app')).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(await store.images.list()).toEqual([]);
  });

  test('a damaged index.json is one clear error, an empty one has no images', async () => {
    await using temp = await makeTempDir();
    await using store = await openStore(temp.path);
    for (const text of [
      '{',
      '[]',
      'null',
      '{"manifests":[{"digest":"../../etc","mediaType":"","size":1}]}',
    ]) {
      writeFileSync(join(temp.path, 'index.json'), text);
      await expect(store.images.list()).rejects.toMatchObject({ code: 'STORE_FAILED' });
    }
    writeFileSync(join(temp.path, 'index.json'), '');
    expect(await store.images.list()).toEqual([]);
  });
});

describe('unreferenced blobs', () => {
  const old = (store: Store, digest: `sha256:${string}`): void => {
    utimesSync(store.blobs.path(digest), 1, 1);
  };

  test('go, but for those of images, cache records, layers, and the last hour', async () => {
    await using temp = await makeTempDir();
    await using store = await openStore(temp.path);
    const [kept, gone] = [await image(store, 'kept'), await image(store, 'gone')];
    const names = ['cached', 'layer', 'fresh', 'rubbish'];
    const [cached, layer, fresh, rubbish] = (await Promise.all(
      names.map((name) => store.blobs.putBytes(Buffer.from(name))),
    )) as [`sha256:${string}`, `sha256:${string}`, `sha256:${string}`, `sha256:${string}`];
    const key = digestOf('key');
    store.state.putCacheRecord({
      key,
      opKey: key,
      inputs: [],
      kind: 'exec',
      name: '',
      result: { layers: [{ x: cached }] },
    });
    store.state.putLayer({ diffId: digestOf('d'), digest: layer, mediaType: mediaType.ociLayer, size: 5 });
    await store.images.tag(kept, 'kept');
    await store.images.tag(gone, 'gone');
    const all = ['layer kept', 'layer gone', '{"architecture":"kept"}', '{"architecture":"gone"}'].map(
      digestOf,
    );
    for (const digest of [...all, kept.digest, gone.digest, cached, layer, rubbish]) old(store, digest);
    expect((await store.removeUnreferenced()).blobs).toBe(1);
    expect(store.blobs.has(rubbish)).toBe(false);
    await store.images.remove('gone');
    expect(await store.removeUnreferenced()).toMatchObject({ blobs: 3 });
    for (const digest of [kept.digest, digestOf('layer kept'), cached, layer, fresh]) {
      expect(store.blobs.has(digest)).toBe(true);
    }
  });

  test('that were written while a build still runs stay', async () => {
    await using temp = await makeTempDir();
    await using store = await openStore(temp.path);
    const rubbish = await store.blobs.putBytes(Buffer.from('rubbish'));
    const twoHoursAgo = Date.now() / 1000 - 7200;
    utimesSync(store.blobs.path(rubbish), twoHoursAgo, twoHoursAgo);
    const running = await openStore(temp.path);
    const path = await running.tempDir();
    // Its age cannot be set; that of the blob can: a blob from after the start of that build.
    const later = statSync(path).birthtimeMs / 1000 + 60;
    utimesSync(store.blobs.path(rubbish), later, later);
    const { removeUnreferenced } = await import('../../src/store/sweep.ts');
    const now = Date.now() + 7_200_000;
    const own = await store.tempDir();
    expect(await removeUnreferenced(temp.path, store.state, { now, ownTempDir: own })).toEqual({
      blobs: 0,
      bytes: 0,
    });
    await running.close();
    expect(await removeUnreferenced(temp.path, store.state, { now, ownTempDir: own })).toEqual({
      blobs: 1,
      bytes: 7,
    });
  });
});
