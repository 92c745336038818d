import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createHttpClient } from '../../src/net/http.ts';
import { networkFailure } from '../../src/net/network-error.ts';
import { lend } from '../../src/util/streams.ts';
import { startHttpServer } from '../support/http-server.ts';

test('gives status, headers and body, and follows nothing', async () => {
  await using server = await startHttpServer((request, response) => {
    response.writeHead(302, { location: '/elsewhere', 'www-authenticate': ['A x=1', 'B y=2'] });
    response.end('go on');
  });
  await using http = createHttpClient({ env: {} });
  const response = await http.request({ url: `http://${server.host}/start` });
  expect(response.status).toBe(302);
  expect(response.header('location')).toBe('/elsewhere');
  expect(response.headerValues('www-authenticate')).toEqual(['A x=1', 'B y=2']);
  expect((await response.bytes(100)).toString()).toBe('go on');
  expect(server.seen.map(({ path }) => path)).toEqual(['/start']);
});

test('a proxy that cannot be reached is named, not the host behind it', async () => {
  const failed = async (proxy: string): Promise<string | undefined> => {
    await using http = createHttpClient({ env: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } });
    const reasons = ['http', 'https'].map((scheme) =>
      http.request({ url: `${scheme}://r.example/v2/` }).then(
        () => 'reached',
        (error: unknown) => networkFailure(error)?.reason,
      ),
    );
    return [...new Set(await Promise.all(reasons))].join();
  };
  expect(await failed('http://me:secret@127.0.0.1:1')).toBe(
    'its proxy 127.0.0.1:1 cannot be reached (connection refused)',
  );
});

test('sends a stream of known length', async () => {
  const received: string[] = [];
  await using server = await startHttpServer((request, response) => {
    request.on('data', (chunk: Buffer) => received.push(chunk.toString()));
    request.on('end', () => response.end());
  });
  await using http = createHttpClient({ env: {} });
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('one ');
    yield Buffer.from('two');
  }
  const headers = { 'content-length': '7' };
  const response = await http.request({ method: 'PUT', url: `http://${server.host}/`, headers, body });
  await response.discard();
  expect(received.join('')).toBe('one two');
  expect(server.seen[0]?.headers['content-length']).toBe('7');
  expect(server.seen[0]?.headers['transfer-encoding']).toBeUndefined();
});

test('memory that a body lends comes back when the system has its bytes, and not before', async () => {
  const received = createHash('sha256');
  await using server = await startHttpServer((request, response) => {
    void (async () => {
      let count = 0;
      for await (const chunk of request) {
        received.update(chunk as Buffer);
        // So that the sender's socket is full again and again.
        if (++count % 20 === 0) await sleep(4);
      }
      response.end();
    })();
  });
  await using http = createHttpClient({ env: {} });
  const sent = createHash('sha256');
  const free: Buffer[] = [];
  let [made, small] = [0, 0];
  const body = async function* (): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < 200; index++) {
      const size = index % 7 < 3 ? 10_000 : 64 * 1024 + 1000 * index;
      if (size === 10_000) small++;
      const own = free.pop() ?? (made++, Buffer.allocUnsafeSlow(512 * 1024));
      const chunk = own.subarray(0, size).fill(index);
      sent.update(chunk);
      yield lend(chunk, () => free.push(own));
    }
  };
  const response = await http.request({ method: 'PUT', url: `http://${server.host}/`, body });
  await response.discard();
  expect(received.digest('hex')).toBe(sent.digest('hex'));
  // Small pieces may still wait in the socket when the next is asked for: they are not given back.
  expect(made).toBeLessThanOrEqual(small + 1);
});

test('a server that stalls is given up', async () => {
  await using server = await startHttpServer((request, response) => {
    if (request.url === '/body') response.write('begin');
  });
  await using http = createHttpClient({ env: {}, timeouts: { headers: 50, idle: 50 } });
  const header = await http.request({ url: `http://${server.host}/header` }).catch((error: unknown) => error);
  expect(networkFailure(header)).toMatchObject({ reason: 'no answer in time', retryable: true });
  const response = await http.request({ url: `http://${server.host}/body` });
  const body = await response.bytes(100).catch((error: unknown) => error);
  expect(networkFailure(body)).toMatchObject({ reason: 'the answer stalled', retryable: true });
});

test('a body is never read past its limit', async () => {
  await using server = await startHttpServer((_, response) => {
    response.end('x'.repeat(1000));
  });
  await using http = createHttpClient({ env: {} });
  const response = await http.request({ url: `http://${server.host}/` });
  await expect(response.bytes(999)).rejects.toThrow(RangeError);
});

test('an abort rejects with its reason', async () => {
  await using server = await startHttpServer(() => undefined);
  await using http = createHttpClient({ env: {} });
  const stop = new AbortController();
  const work = http.request({ url: `http://${server.host}/`, signal: stop.signal });
  setTimeout(() => stop.abort(new Error('enough')), 20);
  await expect(work).rejects.toThrow('enough');
});

test('a plain request for a name of no address goes to the proxy in absolute form', async () => {
  await using server = await startHttpServer((request, response) => {
    response.end(`${request.url} for ${request.headers['proxy-authorization']}`);
  });
  await using http = createHttpClient({ env: { http_proxy: `http://me:pw@${server.host}` } });
  const response = await http.request({ url: 'http://registry.invalid/v2/' });
  expect((await response.bytes(1000)).toString()).toBe('http://registry.invalid/v2/ for Basic bWU6cHc=');
});

test('failures are told in words', async () => {
  await using http = createHttpClient({ env: {} });
  const refused = await http.request({ url: 'http://127.0.0.1:1/' }).catch((error: unknown) => error);
  expect(networkFailure(refused)).toMatchObject({ reason: 'connection refused', retryable: false });
  await using server = await startHttpServer((_, response) => response.end());
  const plain = await http.request({ url: `https://${server.host}/` }).catch((error: unknown) => error);
  expect(networkFailure(plain)).toMatchObject({ protocol: true });
  expect(networkFailure(new TypeError('a bug'))).toBeUndefined();
});
