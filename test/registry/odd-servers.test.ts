import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { digestOf } from '../../src/oci/digest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import { startHttpServer } from '../support/http-server.ts';
import { freePort } from '../support/free-port.ts';
import { failure, testClient } from '../support/registry-client.ts';

const repository = (host: string): { registry: string; repository: string } => ({
  registry: host,
  repository: 'a/b',
});
const code = (name: string): unknown => expect.objectContaining({ code: name });
const digest = digestOf('x');

/** A server that says to each request whatever the test wants, be it HTTP or not; `/v2/` is answered. */
async function startRawServer(answer: string): Promise<{ host: string } & AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      const isPing = data.toString('latin1').startsWith('GET /v2/ ');
      socket.write(isPing ? 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n' : answer);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    host: `127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

const found = `HTTP/1.1 200 OK\r\ncontent-type: ${mediaType.ociManifest}\r\ndocker-content-digest: ${digest}\r\ncontent-length: 1\r\n\r\n`;
const interim = 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n';

test.each([
  ['a status that is none', 'HTTP/1.1 099 What\r\ncontent-length: 0\r\n\r\n'],
  ['interim answers without end', interim.repeat(200)],
])('%s is an answer that is no HTTP', async (_, answer) => {
  await using server = await startRawServer(answer);
  await using http = testClient();
  expect(await failure(http.headManifest(repository(server.host), '1'))).toMatchObject({
    code: 'REGISTRY_UNREACHABLE',
    message: expect.stringContaining('the answer is no HTTP') as string,
  });
});

test('a redirect to a name that is too long for any is an address that cannot be reached', async () => {
  await using server = await startHttpServer((request, response) => {
    const isPing = request.url === '/v2/';
    const location = `http://${'x'.repeat(16_000)}/`;
    response.writeHead(isPing ? 200 : 307, isPing ? {} : { location }).end();
  });
  await using http = testClient();
  expect(await failure(http.headManifest(repository(server.host), '1'))).toEqual(
    code('REGISTRY_UNREACHABLE'),
  );
});

test('interim answers before one that counts do no harm', async () => {
  await using server = await startRawServer(interim.repeat(50) + found);
  await using http = testClient();
  expect(await http.headManifest(repository(server.host), '1')).toMatchObject({ digest, size: 1 });
});

test('a token server that cannot be reached is the one that is named', async () => {
  const dead = `127.0.0.1:${await freePort()}`;
  await using server = await startHttpServer((_, response) => {
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${dead}/token"` }).end();
  });
  await using http = testClient({ files: false });
  expect(await failure(http.headManifest(repository(server.host), '1'))).toMatchObject({
    code: 'REGISTRY_UNREACHABLE',
    message: expect.stringContaining(`cannot reach ${dead} (for ${server.host})`) as string,
  });
});

test('the next page is found behind rubbish', async () => {
  await using server = await startHttpServer((request, response) => {
    const isSecond = request.url?.includes('second') === true;
    const link = `${'<'.repeat(60_000)}, </v2/a/b/tags/list?second>; rel="next"`;
    if (!isSecond) response.setHeader('link', link);
    response.end(JSON.stringify({ tags: [isSecond ? 'two' : 'one'] }));
  });
  await using http = testClient();
  expect(await http.listTags(repository(server.host))).toEqual(['one', 'two']);
});

test('a list of more tags than memory should hold has no end', async () => {
  await using server = await startHttpServer((request, response) => {
    const page = Number(/page=(\d+)/.exec(request.url ?? '')?.[1] ?? 0);
    response.setHeader('link', `</v2/a/b/tags/list?page=${page + 1}>; rel="next"`);
    response.end(`{"tags":[${Array.from({ length: 300_000 }, (_, at) => `"${page}x${at}"`).join(',')}]}`);
  });
  await using http = testClient();
  expect(await failure(http.listTags(repository(server.host)))).toEqual(code('REGISTRY_ERROR'));
  expect(server.seen.length).toBeLessThan(10);
});

test('so has a list of referrers', async () => {
  const annotations = Object.fromEntries([0, 1, 2].map((key) => [key, 'x'.repeat(1024 * 1024)]));
  const manifests = [{ mediaType: mediaType.ociManifest, digest, size: 1, annotations }];
  const page = JSON.stringify({ schemaVersion: 2, mediaType: mediaType.ociIndex, manifests });
  await using server = await startHttpServer((_, response) => {
    response.setHeader('content-type', mediaType.ociIndex);
    response.setHeader('link', `</v2/a/b/referrers/${digest}>; rel="next"`);
    response.end(page);
  });
  await using http = testClient();
  expect(await failure(http.getReferrers(repository(server.host), digest))).toEqual(code('REGISTRY_ERROR'));
  expect(server.seen.length).toBeLessThan(20);
});

test('a server that says all that it was sent gives no password away', async () => {
  const password = 'correct-horse';
  const sent = Buffer.from(`me:${password}`).toString('base64');
  const bodies = [
    JSON.stringify({ errors: [{ code: 'DENIED', message: `got ${sent} of ${password}` }] }),
    JSON.stringify({ error: 'x', error_description: `got ${sent} of ${password}` }),
    `got ${sent} of ${password}`,
  ];
  for (const body of bodies) {
    await using server = await startHttpServer((request, response) => {
      const isKnown = request.headers.authorization !== undefined;
      response.writeHead(isKnown ? 400 : 401, isKnown ? {} : { 'www-authenticate': 'Basic realm="x"' });
      response.end(body);
    });
    await using http = testClient({
      credentials: async () => ({
        credential: { kind: 'password', username: 'me', password, source: 'the test' },
        searched: [],
      }),
    });
    const error = await failure(http.getManifest(repository(server.host), '1'));
    expect(error).toMatchObject({ message: expect.stringContaining('got **** of ****') as string });
  }
});
