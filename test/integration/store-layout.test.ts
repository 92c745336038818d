import { execFileSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/store.ts';
import { makeTempDir } from '../../src/util/temp-dir.ts';
import { requireTool, suite, tool } from '../support/require.ts';

async function image(store: Store): Promise<Descriptor> {
  const blob = async (type: string, bytes: Uint8Array): Promise<Descriptor> => ({
    mediaType: type,
    digest: await store.blobs.putBytes(bytes),
    size: bytes.length,
  });
  // An empty archive: two blocks of zeros.
  const tar = Buffer.alloc(1024);
  const config = {
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaType.ociManifest,
    config: await blob(mediaType.ociConfig, Buffer.from(JSON.stringify(config))),
    layers: [await blob(mediaType.ociLayerGzip, gzipSync(tar))],
  };
  return blob(mediaType.ociManifest, Buffer.from(JSON.stringify(manifest)));
}

suite('the store as an OCI image layout', [tool('skopeo')], () => {
  const skopeo = (...args: readonly string[]): string =>
    execFileSync(requireTool('skopeo'), ['--insecure-policy', ...args], { encoding: 'utf8' });

  test.each(['my-ubuntu:0.1', 'user/app:1', 'localhost:5000/team/app:1'])(
    'skopeo reads oci:<store>:%s',
    async (name) => {
      await using temp = await makeTempDir();
      await using store = await openStore(join(temp.path, 'store'));
      const descriptor = await image(store);
      await store.images.tag(descriptor, ['other:1', name]);
      const inspected = JSON.parse(skopeo('inspect', `oci:${store.root}:${name}`)) as { Digest: string };
      expect(inspected.Digest).toBe(descriptor.digest);
      skopeo('copy', `oci:${store.root}:${name}`, `dir:${join(temp.path, 'copy')}`);
    },
  );

  test('what skopeo copies into it has its name', async () => {
    await using temp = await makeTempDir();
    await using store = await openStore(join(temp.path, 'store'));
    const descriptor = await image(store);
    await store.images.tag(descriptor, 'mine:1');
    skopeo('copy', `oci:${store.root}:mine:1`, `oci:${store.root}:theirs:2`);
    expect((await store.images.find('theirs:2'))?.digest).toBe(descriptor.digest);
    await store.images.tag(descriptor, 'again:3');
    expect((await store.images.list()).map(({ name }) => name)).toEqual([
      'docker.io/library/mine:1',
      'docker.io/library/theirs:2',
      'docker.io/library/again:3',
    ]);
  });
});
