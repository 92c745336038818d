import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { fetchHttp } from '../../src/source/http.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { readAll } from '../../src/util/streams.ts';
import { tempFolder } from '../support/temp.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

async function serve(
  answer: Answer,
  use: (base: string, requests: IncomingMessage[]) => Promise<void>,
): Promise<void> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => void server.close(resolve));
  }
}

const digest = (text: string): Digest => `sha256:${createHash('sha256').update(text).digest('hex')}`;

test('one file, 0600, with the time that the server says; kept, and asked for by its ETag (L-ADD-2)', async () => {
  await using folder = await tempFolder('http');
  const answer: Answer = (request, response) => {
    response.setHeader('etag', '"1"').setHeader('last-modified', 'Wed, 21 Oct 2015 07:28:00 GMT');
    if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
    else response.end('content');
  };
  await serve(answer, async (base, requests) => {
    const options = { cacheDir: folder.path, env: {} };
    const keys = new Set<string>();
    for (let round = 0; round < 2; round += 1) {
      const tree = await fetchHttp({ url: `${base}/a`, filename: 'name' }, options);
      const entry = await tree.lstat('name');
      expect(entry).toMatchObject({ mode: 0o600, uid: 0, gid: 0, size: 7, mtime: 1445412480000000000n });
      expect((await readAll(entry?.content?.() as never, 100)).toString()).toBe('content');
      expect(await tree.list('')).toEqual(['name']);
      keys.add(await tree.contentDigest('name'));
    }
    expect(keys.size).toBe(1);
    expect(requests.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"1"']);
    // With its checksum it needs no question.
    await fetchHttp({ url: `${base}/a`, filename: 'name', checksum: digest('content') }, options);
    expect(requests).toHaveLength(2);
  });
});

test('a wrong checksum is an error, and is not remembered', async () => {
  await using folder = await tempFolder('http');
  await serve(
    (_, response) => void response.end('evil'),
    async (base, requests) => {
      const source = { url: `${base}/a`, filename: 'a', checksum: digest('good') };
      for (let round = 1; round <= 2; round += 1) {
        await expect(fetchHttp(source, { cacheDir: folder.path, env: {} })).rejects.toMatchObject({
          code: 'CHECKSUM_MISMATCH',
        });
        expect(requests).toHaveLength(round);
      }
    },
  );
});

test('redirects are followed, not for ever, and never to another scheme', async () => {
  await using folder = await tempFolder('http');
  const answer: Answer = (request, response) => {
    const to: Readonly<Record<string, string>> = {
      '/go': '/there',
      '/loop': '/loop',
      '/file': 'file:///etc/passwd',
      '/nowhere': 'http://[::bad',
    };
    const location = to[request.url ?? ''];
    if (location === undefined) response.end('there');
    else response.writeHead(302, { location }).end();
  };
  await serve(answer, async (base) => {
    const options = { cacheDir: folder.path, env: {} };
    const tree = await fetchHttp({ url: `${base}/go`, filename: 'x' }, options);
    expect((await tree.lstat('x'))?.size).toBe(5);
    for (const path of ['/loop', '/file', '/nowhere']) {
      await expect(fetchHttp({ url: base + path, filename: 'x' }, options), path).rejects.toMatchObject({
        code: 'DOWNLOAD_FAILED',
      });
    }
    for (const bad of ['file:///etc/passwd', 'ftp://127.0.0.1/x']) {
      await expect(fetchHttp({ url: bad, filename: 'x' }, options), bad).rejects.toMatchObject({
        code: 'DOWNLOAD_FAILED',
      });
    }
  });
});

test('what the server refuses is told without the secrets of the URL', async () => {
  await using folder = await tempFolder('http');
  await serve(
    (_, response) => void response.writeHead(404).end(),
    async (base) => {
      const url = `${base.replace('//', '//user:hunter2@')}/a?token=hunter2`;
      await expect(
        fetchHttp({ url, filename: 'x' }, { cacheDir: folder.path, env: {} }),
      ).rejects.toMatchObject({
        code: 'DOWNLOAD_FAILED',
        message: expect.not.stringContaining('hunter2'),
      });
    },
  );
});

test.each([
  'garbage',
  'HTTP/1.1 200 OK\r\ncontent-length: -3',
  'HTTP/1.1 200 OK\r\netag: "a\x01"',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzzz',
])('an answer that is no HTTP is the fault of the server: %j', async (said) => {
  await using folder = await tempFolder('http');
  await serve(
    (_, response) => void response.socket?.end(`${said}\r\n\r\n`),
    async (base) => {
      const fetched = fetchHttp({ url: base, filename: 'x' }, { cacheDir: folder.path, env: {} });
      await expect(fetched).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
    },
  );
});

test('many may fetch one URL at once', async () => {
  await using folder = await tempFolder('http');
  const waiting: (() => void)[] = [];
  await serve(
    (_, response) => {
      waiting.push(() => response.end('content'));
      if (waiting.length === 8) for (const answer of waiting) answer();
    },
    async (base) => {
      const options = { cacheDir: folder.path, env: {} };
      const trees = await Promise.all(
        Array.from({ length: 8 }, () => fetchHttp({ url: `${base}/a`, filename: 'x' }, options)),
      );
      expect(new Set(await Promise.all(trees.map((tree) => tree.contentDigest('x')))).size).toBe(1);
    },
  );
});
