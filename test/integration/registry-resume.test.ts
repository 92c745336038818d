import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { digestOf } from '../../src/oci/digest.ts';
import type { RegistryClient, Repository } from '../../src/registry/client.ts';
import type { ByteStream } from '../../src/util/streams.ts';
import { localStore } from '../image/local-store.ts';
import type { CuttingProxy } from '../support/cutting-proxy.ts';
import { startCuttingProxy } from '../support/cutting-proxy.ts';
import { testClient } from '../support/registry-client.ts';
import type { RegistryServer } from '../support/registry-server.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';

const MiB = 1024 * 1024;
const bytes = randomBytes(24 * MiB);
const [digest, size] = [digestOf(bytes), bytes.length];
const cuts = [7 * MiB, 5 * MiB, 9 * MiB];
/** Requests and headers. */
const around = 64 * 1024;

async function* open(): ByteStream {
  for (let at = 0; at < size; at += 64 * 1024) yield bytes.subarray(at, at + 64 * 1024);
}

const at = (host: string): Repository => ({ registry: host, repository: 'a/b' });
const client = (): RegistryClient => testClient({ retry: { delays: [5, 5, 5], longestPause: 50 } });

suite('a line that breaks in the middle of a large blob', [tool('docker-registry')], () => {
  const stack = new AsyncDisposableStack();
  let registry: RegistryServer;
  beforeAll(async () => {
    registry = stack.use(await startRegistry());
    await using http = client();
    await http.uploadBlob(at(registry.host), { digest, size, open });
  });
  afterAll(() => stack.disposeAsync());

  const line = (
    direction: 'up' | 'down',
    by: 'end' | 'reset',
    target = registry.host,
  ): Promise<CuttingProxy> => startCuttingProxy({ ...{ target, direction, by }, cuts });

  test.each(['end', 'reset'] as const)('a pull goes on where an %s has cut it', async (by) => {
    await using proxy = await line('down', by);
    await using http = client();
    using store = localStore();
    await store.blobs.put(http.getBlob(at(proxy.host), { mediaType: 'x/y', digest, size }), { digest, size });
    expect(proxy.cut()).toBe(cuts.length);
    // A reset takes bytes along that were on their way; an end takes none: not one byte comes twice.
    if (by === 'end') expect(proxy.bytes()).toBeLessThan(size + around);
    else expect(proxy.bytes()).toBeLessThan(size + cuts.reduce((sum, cut) => sum + cut));
  });

  test.each(['blob', 'stream'] as const)(
    'distribution 2 forgets an upload that broke off: a %s is sent anew, each time once',
    async (how) => {
      await using empty = await startRegistry();
      await using proxy = await line('up', 'end', empty.host);
      await using http = client();
      if (how === 'blob') await http.uploadBlob(at(proxy.host), { digest, size, open });
      else expect(await http.uploadStream(at(proxy.host), open)).toEqual({ digest, size });
      expect(proxy.cut()).toBe(cuts.length);
      const again = cuts.reduce((sum, cut) => sum + cut);
      expect(proxy.bytes()).toBeGreaterThan(size + again - around);
      expect(proxy.bytes()).toBeLessThan(size + again + around);
      using store = localStore();
      await using direct = client();
      await store.blobs.put(direct.getBlob(at(empty.host), { mediaType: 'x/y', digest, size }), {
        digest,
        size,
      });
    },
  );
});
