import { execFileSync } from 'node:child_process';
import { createReadStream, mkdirSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { HttpServer } from '../support/http-server.ts';
import { startHttpServer } from '../support/http-server.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import type { Builds } from './remote-builds.ts';
import { buildsBelow, sha } from './remote-builds.ts';
import { faultsOf, imageOf } from './lowered.ts';

const seconds = 1_500_000_000;
let work: TempFolder;
let builds: Builds;
let server: HttpServer;
let url: string;
let body = 'hello';
let etag: string | undefined = '"1"';
type Answer = (request: IncomingMessage, response: ServerResponse) => void;
const answers = new Map<string, Answer>();

beforeAll(async () => {
  work = await tempFolder('add-http');
  builds = buildsBelow(work.path);
  mkdirSync(join(work.path, 'tar'));
  writeFileSync(join(work.path, 'tar/inside'), 'packed', { mode: 0o640 });
  execFileSync('tar', [
    '-czf',
    join(work.path, 'a.tgz'),
    '--owner=7',
    '--group=8',
    '-C',
    join(work.path, 'tar'),
    'inside',
  ]);
  answers.set(
    '/a.tgz',
    (_request, response) => void createReadStream(join(work.path, 'a.tgz')).pipe(response),
  );
  answers.set('/plain', (_request, response) => void response.end('plain'));
  server = await startHttpServer((request, response) => {
    const answer = answers.get((request.url ?? '').replace(/\?.*/, ''));
    if (answer !== undefined) return answer(request, response);
    response.setHeader('last-modified', new Date(seconds * 1000).toUTCString());
    if (etag !== undefined) response.setHeader('etag', etag);
    if (etag !== undefined && request.headers['if-none-match'] === etag)
      return void response.writeHead(304).end();
    return void response.end(body);
  });
  url = `http://${server.host}`;
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await work[Symbol.asyncDispose]();
});
beforeEach(() => {
  body = 'hello';
  etag = '"1"';
});

const add = (rest: string, more: Parameters<Builds['run']>[1] = {}): ReturnType<Builds['run']> =>
  builds.run(`FROM scratch\nADD ${rest}\n`, more);

describe('ADD of a URL', () => {
  test('L-ADD-2: a file of mode 0600 and owner 0:0, with the time that the server says', async () => {
    const { lines, times, contents } = await add(`${url}/dir/file.txt /x/`);
    expect(lines).toEqual(['directory 755 0:0 x', 'file 600 0:0 x/file.txt']);
    expect(times['x/file.txt']).toBe(String(seconds));
    expect(contents['x/file.txt']).toBe(sha('hello'));
  });

  test('L-ADD-2: without Last-Modified its time is 0', async () => {
    expect((await add(`${url}/plain /p`)).times['p']).toBe('0');
  });

  test('L-ADD-2: its name is the last part of the path, decoded; without one `__unnamed__`', async () => {
    const names = async (text: string): Promise<readonly string[]> =>
      Object.keys((await add(`${url}${text} /n/`)).contents);
    expect(await names('/a/b%20c.txt?q=1/2')).toEqual(['n/b c.txt']);
    expect(await names('/')).toEqual(['n/__unnamed__']);
    expect(await names('')).toEqual(['n/__unnamed__']);
    expect(await names('/dir/')).toEqual(['n/dir']);
    expect(await names('/..%2fevil')).toEqual(['n/evil']);
    expect(await names('/[a]*')).toEqual(['n/[a]*']);
  });

  test('L-ADD-2: a destination without a slash is the file', async () => {
    expect(Object.keys((await add(`${url}/x.txt /some/name`)).contents)).toEqual(['some/name']);
  });

  test('L-ADD-2: owner and mode as the flags say', async () => {
    expect((await add(`--chown=5:6 --chmod=0750 ${url}/x /y`)).lines).toEqual(['file 750 5:6 y']);
  });

  test('L-ADD-2: an archive stays packed, unless --unpack says otherwise', async () => {
    expect((await add(`${url}/a.tgz /d/`)).lines).toContain('file 600 0:0 d/a.tgz');
    expect((await add(`--unpack=false ${url}/a.tgz /d/`)).lines).toContain('file 600 0:0 d/a.tgz');
    expect((await add(`--unpack ${url}/a.tgz /d/`)).lines).toContain('file 640 7:8 d/inside');
  });

  test('L-ADD-2: the server is asked each time, and sends nothing that is known', async () => {
    await add(`${url}/cached /c`);
    const before = server.seen.length;
    const again = await add(`${url}/cached /c`);
    expect(server.seen.slice(before).map(({ headers }) => headers['if-none-match'])).toEqual(['"1"']);
    expect(
      again.events.filter((event) => event.type === 'vertex' && event.state === 'cached').length,
    ).toBeGreaterThan(0);
    body = 'changed';
    etag = '"2"';
    expect((await add(`${url}/cached /c`)).contents['c']).toBe(sha('changed'));
  });

  test('L-ADD-2: the same bytes under a new ETag change nothing', async () => {
    await add(`${url}/same /s`);
    etag = '"3"';
    const { events } = await add(`${url}/same /s`);
    const copied = events.filter((event) => event.type === 'vertex' && /ADD/.test(event.name ?? ''));
    expect(copied.map((event) => event.type === 'vertex' && event.state)).toContain('cached');
  });

  test('L-ADD-2: a secret named after the host is its Authorization, and goes nowhere else', async () => {
    const seen = (path: string): readonly (string | undefined)[] =>
      server.seen.filter((request) => request.path === path).map(({ headers }) => headers.authorization);
    const { host } = server;
    await add(`${url}/with-token /t`, { secrets: [{ id: `HTTP_AUTH_TOKEN_${host}`, value: 'tok\n' }] });
    expect(seen('/with-token')).toEqual(['Bearer tok']);
    const secrets = [
      { id: `HTTP_AUTH_HEADER_${host}`, value: 'Custom abc' },
      { id: `HTTP_AUTH_TOKEN_${host}`, value: 'tok' },
    ];
    const { history, events } = await add(`${url}/with-header /t`, { secrets });
    expect(seen('/with-header')).toEqual(['Custom abc']);
    expect(JSON.stringify([history, events])).not.toMatch(/Custom abc|tok"/);
    await using other = await startHttpServer((_request, response) => void response.end('x'));
    answers.set(
      '/away',
      (_request, response) => void response.writeHead(302, { location: `http://${other.host}/x` }).end(),
    );
    await add(`${url}/away /t`, { secrets });
    expect(seen('/away')).toEqual(['Custom abc']);
    expect(other.seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test('L-ADD-2: a failure names the URL without its password, and the line', async () => {
    answers.set('/gone', (_request, response) => void response.writeHead(404).end());
    const failing = add(`http://user:secret@${server.host}/gone /x`);
    await expect(failing).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      source: { range: { start: { line: 2 } } },
    });
    await expect(failing).rejects.not.toMatchObject({
      message: expect.stringContaining('secret') as unknown,
    });
  });

  test('L-ADD-2: a body that ends too early is no file', async () => {
    answers.set('/short', (_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('only this');
      setTimeout(() => response.destroy(), 20);
    });
    await expect(add(`${url}/short /x`)).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
  }, 30_000);

  test('L-ADD-2: history shows no password', async () => {
    const { history } = await imageOf('FROM scratch\nADD http://me:secret@example.com/a /b\n');
    expect(history.at(-1)).toBe('* ADD http://xxxxx@example.com/a /b # buildkit');
  });
});

describe('--checksum', () => {
  test('L-ADD-3: of a URL it is a sha256, and must be that of the content', async () => {
    expect((await add(`--checksum=sha256:${sha('hello')} ${url}/sum /s`)).contents['s']).toBe(sha('hello'));
    await expect(add(`--checksum=sha256:${sha('other')} ${url}/sum /s`)).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
      message: expect.stringContaining(`sha256:${sha('hello')}`) as unknown,
      hint: expect.stringContaining(`sha256:${sha('other')}`) as unknown,
      source: { range: { start: { line: 2 } } },
    });
  });

  test('L-ADD-3: content that is known by its checksum is not asked for', async () => {
    await add(`--checksum=sha256:${sha('hello')} ${url}/known /s`);
    const before = server.seen.length;
    await add(`--checksum=sha256:${sha('hello')} ${url}/known /other`);
    expect(server.seen).toHaveLength(before);
  });

  test.each([
    ['ADD --checksum=md5:abc https://e.com/x /y', '`md5:abc` is no checksum'],
    ['ADD --checksum=sha256:abc https://e.com/x /y', '`sha256:abc` is no checksum'],
    ['ADD --checksum=sha256:abc local /y', ''],
    ['ADD --checksum=sha256:abc https://e.com/a https://e.com/b /y/', ''],
    ['COPY --checksum=sha256:abc a /y', 'COPY has no flag `--checksum`'],
    ['ADD --checksum=nothex https://e.com/x.git /y', '`nothex` is no commit'],
  ])('L-ADD-3: %s', async (text, message) => {
    const faults = await faultsOf(`FROM scratch\n${text}\n`);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(message);
  });
});
