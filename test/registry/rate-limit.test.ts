import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as library from '../../src/index.ts';
import type { Diagnostic } from '../../src/progress/event.ts';
import type { RegistryClientOptions } from '../../src/registry/client.ts';
import { readAll } from '../../src/util/streams.ts';
import type { CliResult } from '../cli/fake-context.ts';
import { runCli } from '../cli/fake-context.ts';
import { makeImage, testClient } from '../support/registry-client.ts';
import type { HttpServer } from '../support/http-server.ts';
import { startHttpServer } from '../support/http-server.ts';
import { tempFolder } from '../support/temp.ts';
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

test('R-RATE-1: few pulls left are told once, with the way out', async () => {
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
  'R-RATE-1: nothing is said for %j',
  async (header) => {
    expect(await told(header)).toEqual([]);
  },
);

describe('R-RATE-1: what a user sees', () => {
  /** A registry with one image, which counts pulls. */
  async function limited(status: number): Promise<HttpServer> {
    const image = await makeImage(['x']);
    const [config, layer] = [await image.rawConfig(), (await image.layers())[0]];
    const layerBytes = layer === undefined ? Buffer.alloc(0) : await readAll(layer.compressed(), 100_000);
    const { mediaType: type } = await image.descriptor();
    const raw = await image.rawManifest();
    return startHttpServer((request, response) => {
      const limits = {
        'ratelimit-limit': '100;w=21600',
        'ratelimit-remaining': status === 429 ? '0;w=21600' : '3;w=21600',
      };
      const blob = [config, layerBytes].find((bytes) => request.url?.endsWith(digestOf(bytes)) === true);
      if (request.url?.includes('/manifests/') === true && status === 429)
        response
          .writeHead(429, { ...limits, 'retry-after': '3600' })
          .end('{"errors":[{"code":"TOOMANYREQUESTS"}]}');
      else if (request.url?.includes('/manifests/') === true)
        response.writeHead(200, { ...limits, 'content-type': type, 'content-length': raw.length }).end(raw);
      else response.end(blob ?? '');
    });
  }

  const verbs: readonly [string, (name: string, folder: string) => readonly string[]][] = [
    ['pull', (name) => ['pull', name]],
    ['copy', (name, folder) => ['copy', name, `oci:${folder}/out`]],
    ['build', (_, folder) => ['build', '--progress=plain', folder]],
  ];
  const run = async (host: string, [verb, args]: (typeof verbs)[number]): Promise<CliResult> => {
    await using folder = await tempFolder(`rate-${verb}`);
    await writeFile(join(folder.path, 'Dockerfile'), `FROM ${host}/a:1\nCOPY Dockerfile /\n`);
    const root = ['--root', join(folder.path, 'store'), '--no-registry-files'];
    const env = { HOME: folder.path };
    return await runCli([...args(`${host}/a:1`, folder.path), ...root], { env, library });
  };

  test.each(verbs)(
    'R-RATE-1: %s tells how many pulls are left, and with --debug what gives more',
    async (name, args) => {
      await using server = await limited(200);
      const { status, stderr } = await run(server.host, [name, (...given) => [...args(...given), '--debug']]);
      expect(stderr).toContain(`${server.host} allows 3 more pulls within 6 hours`);
      expect(stderr).toContain(`tsbuild login ${server.host}`);
      expect(status).toBe(0);
    },
  );

  test.each(verbs)('R-RATE-1: %s ends with the limit and the way out', async (...verb) => {
    await using server = await limited(429);
    const { status, stderr } = await run(server.host, verb);
    expect(stderr).toContain(`${server.host} allows no more requests for now`);
    expect(stderr).toMatch(
      /hint: run `tsbuild login \S+` for a higher limit, or use a mirror \(remaining: 0;w=21600\)/,
    );
    expect(status).toBe(1);
  });
});
