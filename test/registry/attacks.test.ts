// Longer than other files: one list of attacks, which share the registry that makes them.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { digestOf } from '../../src/oci/digest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import { parseReference } from '../../src/oci/reference.ts';
import type { RegistryClient, RegistryClientOptions } from '../../src/registry/client.ts';
import { createRegistryClient } from '../../src/registry/client.ts';
import { resolveImage } from '../../src/registry/pull.ts';
import { safeRealm } from '../../src/registry/safety.ts';
import { readAll } from '../../src/util/streams.ts';
import { startHttpServer } from '../support/http-server.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const secret = 'correct-horse';
const credentials: NonNullable<RegistryClientOptions['credentials']> = async () => ({
  credential: { kind: 'password', username: 'me', password: secret, source: 'the test' },
  searched: ['the test'],
});
const quick = { delays: [5, 5], longestPause: 100 };

function client(options: Partial<RegistryClientOptions> = {}): RegistryClient {
  return createRegistryClient({ env: {}, credentials, retry: quick, ...options });
}
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'it worked',
    (error: unknown) => error,
  );
const code = (name: string): unknown => expect.objectContaining({ code: name });

/** A registry that wants Basic, and gives each path what the table says. */
function basic(paths: Record<string, Handler>): Handler {
  return (request, response) => {
    if (request.headers.authorization === undefined) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      return;
    }
    const path = (request.url ?? '').split('?')[0] ?? '';
    const handler = paths[path];
    if (handler === undefined) response.writeHead(path === '/v2/' ? 200 : 404).end();
    else handler(request, response);
  };
}

const bytes = Buffer.from('the bytes of a layer');
const digest = digestOf(bytes);
const blob = { mediaType: mediaType.ociLayer, digest, size: bytes.length };
const blobPath = `/v2/a/b/blobs/${digest}`;
const manifestPath = '/v2/a/b/manifests/1';
const sendManifest =
  (value: unknown, type: string = mediaType.ociManifest, digestHeader?: string): Handler =>
  (_, response) => {
    const body = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value));
    response.writeHead(200, {
      'content-type': type,
      'docker-content-digest': digestHeader ?? digestOf(body),
    });
    response.end(body);
  };
const pull = async (host: string, options: Partial<RegistryClientOptions> = {}): Promise<unknown> => {
  await using registry = client(options);
  return await failure(
    resolveImage(registry, parseReference(`${host}/a/b:1`), { os: 'linux', architecture: 'amd64' }),
  );
};

test('R-AUTH-2, R-AUTH-9: a redirect to another origin gets no Authorization', async () => {
  await using storage = await startHttpServer((_, response) => response.end(bytes));
  await using registry = await startHttpServer(
    basic({
      [blobPath]: (_, response) =>
        response.writeHead(307, { location: `http://${storage.host}/x?sig=1` }).end(),
    }),
  );
  await using http = client();
  const body = await readAll(http.getBlob({ registry: registry.host, repository: 'a/b' }, blob), 1000);
  expect(body.equals(bytes)).toBe(true);
  expect(registry.seen.at(-1)?.headers.authorization).toContain('Basic ');
  expect(storage.seen).toHaveLength(1);
  expect(storage.seen[0]?.headers.authorization).toBeUndefined();
});

test('R-AUTH-9: an upload Location on another origin gets the bytes, but no Authorization', async () => {
  await using storage = await startHttpServer((request, response) => {
    request.resume().on('end', () => response.writeHead(201).end());
  });
  await using registry = await startHttpServer(
    basic({
      [blobPath]: (_, response) => response.writeHead(404).end(),
      '/v2/a/b/blobs/uploads/': (_, response) =>
        response.writeHead(202, { location: `http://${storage.host}/up?state=1` }).end(),
    }),
  );
  await using http = client();
  const to = { registry: registry.host, repository: 'a/b' };
  await http.uploadBlob(to, { digest, size: bytes.length, open: () => streamOnce(bytes) });
  expect(storage.seen[0]?.headers.authorization).toBeUndefined();
  expect(storage.seen[0]?.path).toBe(`/up?state=1&digest=${encodeURIComponent(digest)}`);
});

test('R-AUTH-9: credentials are not sent to a token server of another host, and the error says so', async () => {
  await using realm = await startHttpServer((_, response) => response.end('{"token":"anonymous"}'));
  const [, port] = realm.host.split(':');
  await using registry = await startHttpServer((request, response) => {
    const challenge = `Bearer realm="http://localhost:${port}/token",service="x"`;
    response
      .writeHead(401, { 'www-authenticate': challenge })
      .end('{"errors":[{"code":"DENIED","message":"no"}]}');
  });
  const error = await pull(registry.host);
  expect(error).toEqual(code('REGISTRY_UNSAFE'));
  expect(String(error)).toContain(`localhost:${port}`);
  expect(realm.seen.length).toBeGreaterThan(0);
  expect(realm.seen.map(({ headers }) => headers.authorization)).toEqual(realm.seen.map(() => undefined));
  expect(realm.seen.map(({ path }) => path).join('')).not.toContain('me');
});

test('R-AUTH-9: a trusted realm gets them', async () => {
  await using realm = await startHttpServer((_, response) => response.end('{"token":"x"}'));
  const host = realm.host.replace('127.0.0.1', 'localhost');
  await using registry = await startHttpServer((_, response) => {
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token"` }).end();
  });
  expect(await pull(registry.host, { trustedRealms: [host] })).toEqual(code('REGISTRY_UNAUTHORIZED'));
  expect(realm.seen[0]?.headers.authorization).toBe(
    `Basic ${Buffer.from(`me:${secret}`).toString('base64')}`,
  );
});

test('R-AUTH-9: a token server that redirects, or sends no token, or a huge one, is refused', async () => {
  const answers: Record<string, Handler> = {
    '/redirect': (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    '/nothing': (_, response) => response.end('{"token":""}'),
    '/header': (_, response) => response.end(JSON.stringify({ token: 'a\r\nx: y' })),
    '/huge': (_, response) => response.end(`{"token":"${'x'.repeat(70_000)}"}`),
  };
  await using realm = await startHttpServer((request, response) => {
    answers[(request.url ?? '').split('?')[0] ?? '']?.(request, response);
  });
  const codes: unknown[] = [];
  for (const path of Object.keys(answers)) {
    await using registry = await startHttpServer((_, response) => {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${realm.host}${path}"` }).end();
    });
    codes.push(((await pull(registry.host)) as { code?: string }).code);
  }
  expect(codes).toEqual(['REGISTRY_UNSAFE', 'REGISTRY_ERROR', 'REGISTRY_ERROR', 'REGISTRY_ERROR']);
});

const layers = [blob];
const config = { mediaType: mediaType.ociConfig, digest, size: bytes.length };
const manifest = { schemaVersion: 2, mediaType: mediaType.ociManifest, config, layers };

test.each<[string, string, Handler]>([
  ['both layers and manifests', 'IMAGE_INVALID', sendManifest({ ...manifest, manifests: [] })],
  ['schema 1', 'IMAGE_INVALID', sendManifest({ schemaVersion: 1, fsLayers: [] }, mediaType.dockerManifestV1)],
  ['more than 4 MiB', 'IMAGE_INVALID', sendManifest(Buffer.alloc(4 * 1024 * 1024 + 1, ' '))],
  ['another digest than the header says', 'CHECKSUM_MISMATCH', sendManifest(manifest, undefined, digest)],
  ['an HTML page', 'IMAGE_INVALID', sendManifest(Buffer.from('<html>'), 'text/html')],
  [
    'an artifact',
    'IMAGE_INVALID',
    sendManifest({ ...manifest, config: { ...config, mediaType: mediaType.ociEmpty } }),
  ],
  [
    'a config that would be huge',
    'IMAGE_INVALID',
    sendManifest({ ...manifest, config: { ...config, size: 1e12 } }),
  ],
])('R-PULL-1: a manifest with %s is refused: %s', async (_, expected, handler) => {
  await using registry = await startHttpServer(basic({ [manifestPath]: handler }));
  expect(await pull(registry.host)).toEqual(code(expected));
});

test('R-PULL-1: a manifest that is not what its digest says is refused', async () => {
  await using registry = await startHttpServer(
    basic({ [`/v2/a/b/manifests/${digest}`]: sendManifest(manifest, undefined, digest) }),
  );
  await using http = client();
  const work = http.getManifest({ registry: registry.host, repository: 'a/b' }, digest);
  expect(await failure(work)).toEqual(code('CHECKSUM_MISMATCH'));
});

const get = async (handler: Handler): Promise<{ result: unknown; requests: (string | undefined)[] }> => {
  await using registry = await startHttpServer(basic({ [blobPath]: handler }));
  await using http = client();
  const result = await readAll(
    http.getBlob({ registry: registry.host, repository: 'a/b' }, blob),
    1000,
  ).catch((error: unknown) => error);
  return {
    result,
    requests: registry.seen.filter(({ path }) => path === blobPath).map(({ headers }) => headers.range),
  };
};

test('R-PULL-3: a blob of other bytes, or of more, is refused', async () => {
  const other = await get((_, response) => response.end(bytes.toString().toUpperCase()));
  expect(other.result).toEqual(code('CHECKSUM_MISMATCH'));
  const more = await get((_, response) => response.end(Buffer.concat([bytes, bytes])));
  expect(more.result).toEqual(code('CHECKSUM_MISMATCH'));
  expect(more.requests).toHaveLength(1);
});

test('R-PULL-3: a blob whose connection breaks is taken up where it broke', async () => {
  let turn = 0;
  const { result, requests } = await get((request, response) => {
    if (turn++ === 0) {
      response.writeHead(200, { 'content-length': String(bytes.length) });
      response.write(bytes.subarray(0, 7), () => response.destroy());
      return;
    }
    response.writeHead(206, { 'content-range': `bytes 7-${bytes.length - 1}/${bytes.length}` });
    response.end(bytes.subarray(7));
  });
  expect((result as Buffer).toString()).toBe(bytes.toString());
  expect(requests).toEqual([undefined, 'bytes=7-']);
});

test('R-PULL-3: a server that ignores Range gives a whole blob all the same', async () => {
  let turn = 0;
  const { result } = await get((_, response) => {
    response.writeHead(200, { 'content-length': String(bytes.length) });
    if (turn++ === 0) response.write(bytes.subarray(0, 7), () => response.destroy());
    else response.end(bytes);
  });
  expect((result as Buffer).toString()).toBe(bytes.toString());
});

test('R-PULL-3, R-RETRY-1: a blob that is always cut short ends in an error', async () => {
  const { result, requests } = await get((_, response) => response.end());
  expect(result).toEqual(code('REGISTRY_UNREACHABLE'));
  expect(requests).toHaveLength(3);
});

test('R-RETRY-1: a passing failure is tried again, a refusal is not', async () => {
  let turn = 0;
  const flaky: Handler = (request, response) => {
    if (turn++ < 2) response.writeHead(503, { 'retry-after': '0' }).end();
    else sendManifest(manifest)(request, response);
  };
  await using registry = await startHttpServer(basic({ [manifestPath]: flaky }));
  await using http = client();
  const found = await http.getManifest({ registry: registry.host, repository: 'a/b' }, '1');
  expect(found.descriptor.digest).toBe(digestOf(JSON.stringify(manifest)));
  expect(turn).toBe(3);
  let refusals = 0;
  await using closed = await startHttpServer(
    basic({
      [manifestPath]: (_, response) => {
        refusals++;
        response.writeHead(403).end('{"errors":[{"code":"DENIED","message":"\\u001b[31mno"}]}');
      },
    }),
  );
  const error = await pull(closed.host);
  expect(error).toEqual(code('REGISTRY_UNAUTHORIZED'));
  expect(String(error)).toContain('credentials from the test: [31mno');
  expect(refusals).toBe(1);
});

test('R-RATE-1: 429 names the limit and the way out', async () => {
  await using registry = await startHttpServer((request, response) => {
    if (request.url === '/v2/') response.end();
    else
      response
        .writeHead(429, { 'ratelimit-remaining': '0;w=21600' })
        .end('{"errors":[{"code":"TOOMANYREQUESTS"}]}');
  });
  const anonymous = async (): Promise<{ credential: undefined; searched: readonly string[] }> => ({
    credential: undefined,
    searched: [],
  });
  const error = await pull(registry.host, { credentials: anonymous });
  expect(error).toMatchObject({ code: 'REGISTRY_ERROR', hint: expect.stringContaining('tsbuild login') });
  expect(error).toMatchObject({ hint: expect.stringContaining('0;w=21600') });
});

test('R-MISC-1: tags come in pages, and another origin is not asked for one', async () => {
  await using other = await startHttpServer((_, response) => response.end('{"tags":["x"]}'));
  const elsewhere = `http://${other.host}/v2/other/tags/list?page=4`;
  await using registry = await startHttpServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    if (url.pathname === '/v2/') {
      response.end();
      return;
    }
    const page = Number(url.searchParams.get('page') ?? 1);
    // The second is named as a proxy that ends TLS would have it, the third by who wants to be asked instead.
    const next = ['/v2/a/b/tags/list?page=2', `http://registry.invalid/v2/a/b/tags/list?page=3`, elsewhere][
      page - 1
    ];
    response.writeHead(200, { link: `<${next}>; rel="next"` }).end(JSON.stringify({ tags: [`${page}`] }));
  });
  await using http = client();
  expect(await http.listTags({ registry: registry.host, repository: 'a/b' })).toEqual(['1', '2', '3']);
  expect(other.seen).toEqual([]);
});

test('R-MISC-1: a page that brings nothing new is the last, and a list without an end is no list', async () => {
  let isNew = false;
  await using registry = await startHttpServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    const page = isNew ? Number(url.searchParams.get('last') ?? 0) : 0;
    response.setHeader('link', `</v2/a/b/tags/list?last=${page + 1}>; rel="next"`);
    response.end(url.pathname === '/v2/' ? '' : JSON.stringify({ tags: [`v${page}`, 'latest'] }));
  });
  const list = async (): Promise<readonly string[]> => {
    await using http = client();
    return await http.listTags({ registry: registry.host, repository: 'a/b' });
  };
  expect(await list()).toEqual(['v0', 'latest']);
  expect(registry.seen).toHaveLength(3);
  isNew = true;
  await expect(list()).rejects.toMatchObject({
    code: 'REGISTRY_ERROR',
    message: expect.stringContaining('has no end') as string,
  });
});

test('R-MIR-1, C-RE-4: mirrors are read first, with their prefix and their own credentials; then the registry', async () => {
  await using mirror = await startHttpServer((request, response) => {
    if (request.url === '/v2/proxy/a/b/manifests/1') sendManifest(manifest)(request, response);
    else response.writeHead(request.url === '/v2/' ? 200 : 404).end();
  });
  await using registry = await startHttpServer((request, response) => {
    if (request.url === '/v2/a/b/manifests/2') sendManifest(manifest)(request, response);
    else response.end();
  });
  await using http = client({ mirrors: { [registry.host]: [`${mirror.host}/proxy`] } });
  const from = { registry: registry.host, repository: 'a/b' };
  await http.getManifest(from, '1');
  expect(registry.seen).toHaveLength(0);
  await http.getManifest(from, '2');
  expect(registry.seen.map(({ path }) => path)).toEqual(['/v2/', '/v2/a/b/manifests/2']);
});

test('R-MIR-1: what mirrors have said is told with what the registry says', async () => {
  await using mirror = await startHttpServer((request, response) => {
    response.writeHead(request.url === '/v2/' ? 200 : 404).end();
  });
  const mirrors = { 'localhost:1': ['localhost:2', mirror.host] };
  await using http = client({ mirrors });
  const from = { registry: 'localhost:1', repository: 'a' };
  const before = `of its mirrors before: cannot reach localhost:2: connection refused; ${mirror.host}/a`;
  const error = await failure(http.getManifest(from, '1'));
  expect(error).toMatchObject({
    code: 'REGISTRY_UNREACHABLE',
    message: `cannot reach localhost:1: connection refused; ${before}:1 is not in its registry`,
    hint: expect.stringContaining('when no mirror has it'),
  });
  expect(await failure(http.headManifest(from, '1'))).toMatchObject({
    message: `cannot reach localhost:1: connection refused; ${before} is not there`,
  });
  // Lists are the registry's own: no mirror was asked, and none would help.
  expect(await failure(http.listTags(from))).toMatchObject({
    message: 'cannot reach localhost:1: connection refused',
    hint: expect.stringContaining('whether a registry is running there'),
  });
});

test('secrets are in no error', async () => {
  await using registry = await startHttpServer(
    basic({ [manifestPath]: (_, response) => response.writeHead(500).end('x') }),
  );
  const error = await pull(registry.host);
  const text = JSON.stringify([error, String(error), (error as Error).stack]);
  expect(text).not.toContain(secret);
  expect(text).not.toContain(Buffer.from(`me:${secret}`).toString('base64'));
});

test.each(['ftp://127.0.0.1/x', 'file:///etc/passwd', '/v2/'.padEnd(20_000, 'x'), 'http://'])(
  'R-AUTH-9: a redirect to %.30s is not followed',
  async (location) => {
    const { result, requests } = await get((_, response) => response.writeHead(307, { location }).end());
    expect(result).toEqual(code('REGISTRY_UNSAFE'));
    expect(requests).toHaveLength(1);
  },
);

test('R-PULL-3: a redirect in circles ends', async () => {
  const { result } = await get((_, response) => response.writeHead(307, { location: blobPath }).end());
  expect(result).toEqual(code('REGISTRY_UNSAFE'));
});

test('R-AUTH-9: a login is no success when its password was not shown to the token server', async () => {
  await using realm = await startHttpServer((_, response) => response.end('{"token":"anonymous"}'));
  const host = realm.host.replace('127.0.0.1', 'localhost');
  await using registry = await startHttpServer((request, response) => {
    if (request.headers.authorization === 'Bearer anonymous') response.end();
    else response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token"` }).end();
  });
  await using http = client();
  expect(await failure(http.checkLogin(registry.host))).toEqual(code('REGISTRY_UNSAFE'));
  expect(realm.seen).toHaveLength(0);
});

test('an abort ends a download with its reason', async () => {
  await using registry = await startHttpServer(
    basic({ [blobPath]: (_, response) => void response.write('x') }),
  );
  await using http = client();
  const stop = new AbortController();
  const from = { registry: registry.host, repository: 'a/b' };
  const work = readAll(http.getBlob(from, blob, { signal: stop.signal }), 1000);
  setTimeout(() => stop.abort(new Error('enough')), 50);
  expect(await failure(work)).toMatchObject({ message: 'enough' });
});

test('R-AUTH-9: an upload Location into the private network, or without TLS, or with a password, is told or harmless', async () => {
  const asked = async (location: string): Promise<unknown> => {
    await using registry = await startHttpServer(
      basic({
        [blobPath]: (_, response) => response.writeHead(404).end(),
        '/v2/a/b/blobs/uploads/': (_, response) => response.writeHead(202, { location }).end(),
      }),
    );
    await using http = client();
    const to = { registry: registry.host, repository: 'a/b' };
    return await failure(http.uploadBlob(to, { digest, size: bytes.length, open: () => streamOnce(bytes) }));
  };
  for (const location of ['ftp://127.0.0.1/x', 'http://', 'file:///etc/passwd', 'x'.padEnd(20_000, 'x')]) {
    expect(await asked(location), location.slice(0, 30)).toEqual(code('REGISTRY_UNSAFE'));
  }
  await using thief = await startHttpServer((request, response) => {
    request.resume().on('end', () => response.writeHead(201).end());
  });
  expect(await asked(`http://me:guess@${thief.host}/up`)).toBe('it worked');
  expect(thief.seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
});

test('R-AUTH-9: asked where an upload has got to, another origin sees no credentials either', async () => {
  let turn = 0;
  await using thief = await startHttpServer((request, response) => {
    if (request.method === 'GET') response.writeHead(204, { range: '0-3' }).end();
    else if (turn++ === 0) request.socket.destroy();
    else request.resume().on('end', () => response.writeHead(201, { location: '/next' }).end());
  });
  await using registry = await startHttpServer(
    basic({
      [blobPath]: (_, response) => response.writeHead(404).end(),
      '/v2/a/b/blobs/uploads/': (_, response) =>
        response.writeHead(202, { location: `http://${thief.host}/up` }).end(),
    }),
  );
  await using http = client();
  const to = { registry: registry.host, repository: 'a/b' };
  await http.uploadBlob(to, { digest, size: bytes.length, open: () => streamOnce(bytes) });
  expect(thief.seen.map(({ method }) => method)).toEqual(['PUT', 'GET', 'PATCH', 'PUT']);
  expect(thief.seen.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
});

test.each([
  'http://169.254.169.254/token',
  'http://10.0.0.7/token',
  'https://[fd00::1]/token',
  'http://192.168.1.1:8080/',
])('R-AUTH-9: the realm %s of a registry elsewhere is never asked', (realm) => {
  const registry = { name: 'registry.example', base: new URL('https://registry.example') };
  expect(() => safeRealm(realm, registry, [])).toThrow(expect.objectContaining({ code: 'REGISTRY_UNSAFE' }));
});

test('R-PULL-1: a manifest of 1 GiB is left as soon as it is too large', async () => {
  let sent = 0;
  const piece = Buffer.alloc(64 * 1024, ' ');
  await using registry = await startHttpServer(
    basic({
      [manifestPath]: (_, response) => {
        response.writeHead(200, { 'content-type': mediaType.ociManifest, 'content-length': String(2 ** 30) });
        const more = (): void => {
          while (!response.destroyed && sent < 2 ** 30) {
            sent += piece.length;
            if (!response.write(piece)) {
              response.once('drain', more);
              return;
            }
          }
        };
        more();
      },
    }),
  );
  expect(await pull(registry.host)).toEqual(code('IMAGE_INVALID'));
  // What the sockets hold besides; far from all of it.
  expect(sent).toBeLessThan(64 * 1024 * 1024);
});

test.each([
  ['path characters', 'sha256:../../../../etc/passwd'.padEnd(71, '0')],
  ['a slash', `sha256:${'a'.repeat(63)}/`],
  ['upper case', `sha256:${'A'.repeat(64)}`],
  ['another algorithm', `md5:${'a'.repeat(32)}`],
  ['a line break', `sha256:${'a'.repeat(63)}\n`],
])('R-PULL-1: a digest with %s is refused before anything is asked for by it', async (_, wrong) => {
  const bad = { ...manifest, layers: [{ ...blob, digest: wrong }] };
  await using registry = await startHttpServer(basic({ [manifestPath]: sendManifest(bad) }));
  expect(await pull(registry.host)).toEqual(code('IMAGE_INVALID'));
  expect(registry.seen.filter(({ path }) => path.includes('/blobs/'))).toEqual([]);
  const header: Handler = (request, response) => {
    if (request.method === 'GET') sendManifest({})(request, response);
    else {
      const type = { 'content-type': mediaType.ociManifest, 'content-length': '100' };
      response.writeHead(200, { ...type, 'docker-content-digest': encodeURI(wrong) }).end();
    }
  };
  await using head = await startHttpServer(basic({ [manifestPath]: header }));
  await using http = client();
  const found = failure(http.headManifest({ registry: head.host, repository: 'a/b' }, '1'));
  // The header says nothing then: the document itself is asked for, and is none.
  expect(await found).toEqual(code('IMAGE_INVALID'));
});

test('R-PULL-3: a config that is a bomb is never unpacked, and one of more bytes than it says is left', async () => {
  // Configs are not compressed: a Content-Encoding that nobody asked for changes nothing of that.
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
  const described = { ...config, digest: digestOf(bomb), size: bomb.length };
  const paths = (body: Buffer, value: object): Record<string, Handler> => ({
    [manifestPath]: sendManifest({ ...manifest, config: value }),
    [`/v2/a/b/blobs/${digestOf(bomb)}`]: (_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(body),
  });
  await using registry = await startHttpServer(basic(paths(bomb, described)));
  expect(await pull(registry.host)).toEqual(code('IMAGE_INVALID'));
  await using longer = await startHttpServer(basic(paths(bomb, { ...described, size: 100 })));
  expect(await pull(longer.host)).toEqual(code('CHECKSUM_MISMATCH'));
});

test('R-PULL-1, R-MIR-1: a mirror that answers for another digest is passed over for a manifest, and found out for a blob', async () => {
  const other = { ...manifest, annotations: { of: 'the mirror' } };
  const wanted = digestOf(JSON.stringify(manifest));
  await using mirror = await startHttpServer((request, response) => {
    if (request.url?.includes('/manifests/') === true) sendManifest(other)(request, response);
    else if (request.url?.includes('/blobs/') === true) response.end(bytes.toString().toUpperCase());
    else response.end();
  });
  await using registry = await startHttpServer(
    basic({
      [`/v2/a/b/manifests/${wanted}`]: sendManifest(manifest),
      [blobPath]: (_, response) => response.end(bytes),
    }),
  );
  const from = { registry: registry.host, repository: 'a/b' };
  const noneThere: NonNullable<RegistryClientOptions['credentials']> = async (host, ...rest) =>
    host === registry.host ? credentials(host, ...rest) : { credential: undefined, searched: [] };
  await using http = client({ mirrors: { [registry.host]: [mirror.host] }, credentials: noneThere });
  expect((await http.getManifest(from, wanted)).descriptor.digest).toBe(wanted);
  expect(mirror.seen.some(({ path }) => path.includes('/manifests/'))).toBe(true);
  expect(await failure(readAll(http.getBlob(from, blob), 1000))).toEqual(code('CHECKSUM_MISMATCH'));
  expect(mirror.seen.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
});

test('R-PULL-4, R-AUTH-9: a layer that lives elsewhere is fetched from there without credentials, when the registry has it not', async () => {
  await using elsewhere = await startHttpServer((_, response) => response.end(bytes));
  await using registry = await startHttpServer(basic({}));
  const from = { registry: registry.host, repository: 'a/b' };
  const foreign = {
    ...blob,
    mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    urls: [`http://${elsewhere.host}/layer`],
  };
  await using http = client();
  expect((await readAll(http.getBlob(from, foreign), 1000)).equals(bytes)).toBe(true);
  expect(elsewhere.seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  expect(registry.seen.some(({ path }) => path === blobPath)).toBe(true);
  const ordinary = { ...foreign, mediaType: mediaType.ociLayerGzip };
  expect(await failure(readAll(http.getBlob(from, ordinary), 1000))).toEqual(code('REGISTRY_ERROR'));
  expect(elsewhere.seen).toHaveLength(1);
});

async function* streamOnce(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}
