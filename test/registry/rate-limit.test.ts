import { expect, test } from 'vitest';
import type { Diagnostic } from '../../src/progress/event.ts';
import type { RegistryClientOptions } from '../../src/registry/client.ts';
import { testClient } from '../support/registry-client.ts';
import { startHttpServer } from '../support/http-server.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { mediaType } from '../../src/oci/media-type.ts';

const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [] }));

/** What is told while an index is read three times. */
async function told(
  remaining: string | undefined,
  credentials?: RegistryClientOptions['credentials'],
): Promise<readonly Diagnostic[]> {
  await using server = await startHttpServer((request, response) => {
    const limit =
      remaining === undefined ? {} : { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': remaining };
    const headers = { 'content-type': mediaType.ociIndex, 'docker-content-digest': digestOf(manifest) };
    response.writeHead(200, { ...headers, ...limit });
    response.end(request.url === '/v2/' ? '' : manifest);
  });
  const diagnostics: Diagnostic[] = [];
  await using client = testClient({
    ...{ files: false, credentials: credentials ?? (async () => ({ credential: undefined, searched: [] })) },
    emit: (event) => event.type === 'diagnostic' && diagnostics.push(event.diagnostic),
  });
  for (let turn = 0; turn < 3; turn += 1)
    await client.getManifest({ registry: server.host, repository: 'a' }, '1');
  return diagnostics.map((item) => ({
    ...item,
    message: item.message.replace(server.host, 'HOST'),
    hint: (item.hint ?? '').replace(server.host, 'HOST'),
  }));
}

test('few pulls left are told once, with the way out', async () => {
  expect(await told('7;w=21600')).toEqual([
    {
      severity: 'warning',
      rule: 'RegistryRateLimit',
      message: 'HOST allows 7 more pulls within 6 hours',
      hint: '`tsbuild login HOST` gives a higher limit; a mirror has none',
    },
  ]);
  expect(await told('0')).toMatchObject([{ message: 'HOST allows no more pulls' }]);
  expect(await told('1;w=3600')).toMatchObject([{ message: 'HOST allows 1 more pull within an hour' }]);
  const known: RegistryClientOptions['credentials'] = async () => ({
    credential: { kind: 'password', username: 'me', password: 'x', source: 'the test' },
    searched: [],
  });
  expect(await told('3', known)).toMatchObject([{ hint: 'a mirror has no such limit: --registry-mirror' }]);
});

test.each([undefined, '50;w=21600', 'many', '\t7;x', '99999999999'])(
  'nothing is said for %j',
  async (header) => {
    expect(await told(header)).toEqual([]);
  },
);
