import { expect, test } from 'vitest';
import { storeImage } from '../../src/export/to-store.ts';
import { file } from '../image/entries.ts';
import { smallImage } from '../image/images.ts';
import { localStore } from '../image/local-store.ts';

test('a layer that is here in another compression comes as its manifest names it', async () => {
  using theirs = localStore();
  using ours = localStore();
  const entries = [[file('a', 'content')]];
  const known = await smallImage(ours, entries);
  const [gzip] = await known.layers();
  await gzip?.digest();
  const layers = theirs.reopen({ compression: { type: 'zstd' } });
  const image = await smallImage({ ...theirs, layers }, entries);
  const [zstd] = await image.layers();
  if (zstd === undefined) throw new TypeError('the image has no layer');
  const digest = await zstd.digest();
  expect(ours.blobs.has(digest)).toBe(false);

  await storeImage(
    ours,
    { image, layers: [ours.reopen().fromRemote(await zstd.diffId(), zstd)] },
    { id: 'test', signal: new AbortController().signal, emit: () => {} },
  );
  expect(ours.blobs.has(digest)).toBe(true);
});
