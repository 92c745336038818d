import { expect, test } from 'vitest';
import { CachePlaces } from '../../src/api/cache-places.ts';
import type { Session } from '../../src/api/session.ts';
import { makeTempDir } from '../../src/util/temp-dir.ts';

test('a cache is not written into the store', async () => {
  await using store = await makeTempDir();
  const session = { store: { root: store.path }, env: {} } as unknown as Session;
  await using places = new CachePlaces(session, { os: 'linux', architecture: 'amd64' });
  for (const dest of [store.path, `${store.path}/blobs/cache`])
    await expect(places.open({ type: 'local', dest })).rejects.toMatchObject({ code: 'USAGE' });
  expect((await places.open({ type: 'local', dest: `${store.path}-cache` })).name).toContain('-cache');
});
