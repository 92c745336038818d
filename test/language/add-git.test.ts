import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GitServer } from '../support/git-server.ts';
import { startGitServer } from '../support/git-server.ts';
import { startHttpServer } from '../support/http-server.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import type { Builds } from './remote-builds.ts';
import { buildsBelow, sha } from './remote-builds.ts';
import { faultsOf, lowerText } from './lowered.ts';

const time = 1_600_000_000;
let work: TempFolder;
let builds: Builds;
let server: GitServer;
let url: string;
let first: string;
let second: string;
/** What a request must say to get in; undefined: nothing. */
let password: string | undefined;
const authorizations: (string | undefined)[] = [];

beforeAll(async () => {
  work = await tempFolder('add-git');
  builds = buildsBelow(work.path);
  server = await startGitServer(work.path, ({ headers }) => {
    authorizations.push(headers.authorization);
    if (password === undefined || headers.authorization === password) return undefined;
    return { status: 401, headers: { 'www-authenticate': 'Basic' } };
  });
  url = `${server.url}/app.git`;
  first = server.commit(
    'app',
    (tree) => {
      mkdirSync(join(tree, 'sub/deep'), { recursive: true });
      writeFileSync(join(tree, 'file'), 'one');
      writeFileSync(join(tree, 'run.sh'), '#!/bin/sh\n', { mode: 0o700 });
      writeFileSync(join(tree, 'sub/inner'), 'inner');
      writeFileSync(join(tree, 'sub/deep/down'), 'down');
      symlinkSync('file', join(tree, 'link'));
      symlinkSync('/etc', join(tree, 'out'));
    },
    { time },
  );
  server.git('app', 'tag', 'v1');
  server.git('app', 'push', '-q', 'origin', 'v1');
  second = server.commit('app', (tree) => writeFileSync(join(tree, 'file'), 'two'), { time: time + 60 });
  server.git('app', 'checkout', '-q', '-b', 'side', 'v1');
  server.commit('app', (tree) => writeFileSync(join(tree, 'file'), 'side'));
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await work[Symbol.asyncDispose]();
});

const add = (rest: string, more: Parameters<Builds['run']>[1] = {}): ReturnType<Builds['run']> =>
  builds.run(`FROM scratch\nADD ${rest}\n`, more);
const fileOf = async (source: string, more: Parameters<Builds['run']>[1] = {}): Promise<string | undefined> =>
  (await add(`${source} /x/`, more)).contents['x/file'];

describe('ADD of a git repository', () => {
  test('L-ADD-4: files are 0644 or 0755, directories 0755, owners 0:0, links kept, no .git', async () => {
    const umask = process.umask(0o077);
    try {
      expect((await add(`${url} /x/`)).lines).toEqual([
        'directory 755 0:0 x',
        'file 644 0:0 x/file',
        'symlink  0:0 x/link -> file',
        'symlink  0:0 x/out -> /etc',
        'file 755 0:0 x/run.sh',
        'directory 755 0:0 x/sub',
        'directory 755 0:0 x/sub/deep',
        'file 644 0:0 x/sub/deep/down',
        'file 644 0:0 x/sub/inner',
      ]);
    } finally {
      process.umask(umask);
    }
  });

  test('L-ADD-4: a branch, a tag, a commit or its beginning, as a fragment and as a query', async () => {
    expect(await fileOf(url)).toBe(sha('two'));
    for (const ref of [
      '#v1',
      '#refs/tags/v1',
      `#${first}`,
      `#${first.slice(0, 10)}`,
      '?ref=v1',
      '?tag=v1',
      `?ref=${first}`,
    ])
      expect(await fileOf(`${url}${ref}`), ref).toBe(sha('one'));
    for (const ref of ['#side', '?branch=side', '?ref=refs/heads/side'])
      expect(await fileOf(`${url}${ref}`), ref).toBe(sha('side'));
    await expect(fileOf(`${url}?tag=side`)).rejects.toMatchObject({ code: 'GIT_FAILED' });
    await expect(fileOf(`${url}#nowhere`)).rejects.toMatchObject({
      code: 'GIT_FAILED',
      source: { range: { start: { line: 2 } } },
    });
  });

  test('L-ADD-4: a directory of it, which no link leads out of', async () => {
    for (const part of ['#:sub', '#main:/sub/', '?subdir=sub', '#:x/../sub'])
      expect(Object.keys((await add(`${url}${part} /x/`)).contents), part).toEqual([
        'x/deep/down',
        'x/inner',
      ]);
    for (const part of ['#:out', '#:nowhere', '#:file', '#:.git'])
      await expect(add(`${url}${part} /x/`), part).rejects.toMatchObject({ code: 'GIT_FAILED' });
  });

  test('L-ADD-4 L-ADD-3: the commit may be demanded, whole or its beginning', async () => {
    expect(await fileOf(`${url}?checksum=${second}`)).toBe(sha('two'));
    expect(await fileOf(`${url}?commit=${second.slice(0, 8)}`)).toBe(sha('two'));
    expect(await fileOf(`--checksum=${second.slice(0, 12)} ${url}`)).toBe(sha('two'));
    await expect(fileOf(`${url}?commit=${first}`)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
    await expect(fileOf(`--checksum=${first} ${url}`)).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
      message: expect.stringContaining(second) as unknown,
      hint: expect.stringContaining(first) as unknown,
    });
  });

  test('L-ADD-4: `fetch-by-commit` asks for the commit itself, wherever branches are', async () => {
    expect(await fileOf(`${url}?fetch-by-commit=true&commit=${first}`)).toBe(sha('one'));
    expect(await fileOf(`${url}?ref=nowhere&fetch-by-commit=true&commit=${first}`)).toBe(sha('one'));
  });

  test('L-ADD-4: `mtime=commit` gives all files the time of the commit', async () => {
    const { times } = await add(`${url}?tag=v1&mtime=commit /x/`);
    expect(new Set(['file', 'sub', 'sub/inner', 'link'].map((name) => times[`x/${name}`]))).toEqual(
      new Set([String(time)]),
    );
    const now = await add(`${url}?tag=v1&mtime=checkout /y/`);
    expect(Number(now.times['y/file'])).toBeGreaterThan(time + 1000);
  });

  test('L-ADD-4: `.git` stays where it is asked for, without a password and what was fetched when', async () => {
    for (const source of [
      `--keep-git-dir ${url}`,
      `${url}?keep-git-dir`,
      `--keep-git-dir=true ${url}?keep-git-dir=false`,
    ]) {
      const names = (await add(`${source} /x/`)).files.map(({ path }) => path);
      expect(names, source).toContain('x/.git/HEAD');
      expect(names.filter((name) => /FETCH_HEAD|\/logs\b|\/hooks\b/.test(name))).toEqual([]);
    }
    expect((await add(`--keep-git-dir=false ${url}?keep-git-dir /x/`)).lines.join('\n')).not.toContain(
      '.git',
    );
    const secret = await builds.run(
      `FROM scratch AS a\nADD --keep-git-dir ${url.replace('//', '//me:hush@')} /x/\n`,
    );
    const plain = await builds.run(
      `FROM scratch AS a\nADD --keep-git-dir ${url.replace('//', '//xxxxx@')} /x/\n`,
    );
    expect(secret.contents['x/.git/config']).toBe(plain.contents['x/.git/config']);
  });

  test('L-ADD-4: submodules come with it, unless `submodules=false`', async () => {
    const part = server.commit('part', (tree) => writeFileSync(join(tree, 'piece'), 'p'));
    server.commit('whole', (tree) => {
      writeFileSync(
        join(tree, '.gitmodules'),
        `[submodule "sub"]\n\tpath = sub\n\turl = ${server.url}/part.git\n`,
      );
      // `git submodule add` would ask the server, which runs in this process.
      server.git('whole', 'update-index', '--add', '--cacheinfo', `160000,${part},sub`);
      mkdirSync(join(tree, 'sub'));
    });
    const whole = `${server.url}/whole.git`;
    expect(Object.keys((await add(`${whole} /x/`)).contents)).toEqual(['x/.gitmodules', 'x/sub/piece']);
    expect(Object.keys((await add(`${whole}?submodules=false /x/`)).contents)).toEqual(['x/.gitmodules']);
    const kept = `--keep-git-dir ${whole} /x/`;
    const [one, other] = [
      await add(kept),
      await builds.run(`FROM scratch AS again\nADD ${kept}\n`, { noCache: true }),
    ];
    expect(Object.keys(one.contents)).toContain('x/.git/modules/sub/index');
    expect(other.contents).toEqual(one.contents);
  });

  test('L-ADD-4: repositories of SHA-256', async () => {
    const commit = server.commit('new', (tree) => writeFileSync(join(tree, 'file'), 'sha256'), {
      format: 'sha256',
    });
    expect(commit).toHaveLength(64);
    expect(await fileOf(`${server.url}/new.git`)).toBe(sha('sha256'));
    expect(await fileOf(`${server.url}/new.git?commit=${commit}`)).toBe(sha('sha256'));
  });

  test('L-ADD-4: a branch that moved is seen, one that did not leaves the step cached', async () => {
    server.commit('moving', (tree) => writeFileSync(join(tree, 'file'), 'a'));
    const moving = `${server.url}/moving.git`;
    expect(await fileOf(moving)).toBe(sha('a'));
    const { events } = await add(`${moving} /x/`);
    expect(
      events.some(
        (event) => event.type === 'vertex' && event.state === 'cached' && /ADD/.test(event.name ?? ''),
      ),
    ).toBe(true);
    server.commit('moving', (tree) => writeFileSync(join(tree, 'file'), 'b'));
    expect(await fileOf(moving)).toBe(sha('b'));
  });
});

describe('secrets for git', () => {
  const basic = (token: string): string =>
    `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;

  test.each([
    ['GIT_AUTH_TOKEN', 'tok', basic('tok')],
    ['GIT_AUTH_HEADER', 'Custom abc', 'Custom abc'],
    ['GIT_AUTH_TOKEN.HOST', 'tok2', basic('tok2')],
    ['GIT_AUTH_HEADER.HOST', 'Bearer x', 'Bearer x'],
  ])('L-ADD-4: %s', async (id, value, wanted) => {
    password = wanted;
    try {
      const secrets = [{ id: id.replace('HOST', new URL(url).host), value }];
      expect(await fileOf(url, { secrets, noCache: true })).toBe(sha('two'));
      await expect(fileOf(url, { noCache: true })).rejects.toMatchObject({ code: 'GIT_FAILED' });
      const other = [{ id: id.replace('HOST', 'other.example'), value: 'wrong' }];
      await expect(fileOf(url, { secrets: other, noCache: true })).rejects.toMatchObject({
        code: 'GIT_FAILED',
      });
    } finally {
      password = undefined;
    }
  });

  test('L-ADD-4: one for a host is not said to another, and not after a redirect', async () => {
    const seen: (string | undefined)[] = [];
    await using thief = await startHttpServer((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(404).end();
    });
    authorizations.length = 0;
    const secrets = [{ id: `GIT_AUTH_TOKEN.${new URL(url).host}`, value: 'tok' }];
    await expect(fileOf(`http://${thief.host}/x.git`, { secrets })).rejects.toMatchObject({
      code: 'GIT_FAILED',
    });
    await using redirecting = await startHttpServer(
      (request, response) =>
        void response.writeHead(302, { location: `http://${thief.host}${request.url}` }).end(),
    );
    const lost = [{ id: `GIT_AUTH_TOKEN.${redirecting.host}`, value: 'tok' }];
    await expect(fileOf(`http://${redirecting.host}/x.git`, { secrets: lost })).rejects.toMatchObject({
      code: 'GIT_FAILED',
    });
    expect(new Set(seen)).toEqual(new Set([undefined]));
  });

  test('L-ADD-4: a secret of several lines begins no second header', async () => {
    const secrets = [{ id: 'GIT_AUTH_HEADER', value: 'a\nX-Evil: b' }];
    await expect(fileOf(url, { secrets, noCache: true })).rejects.toMatchObject({ code: 'GIT_FAILED' });
  });
});

describe('git sources as they are written', () => {
  test.each([
    'git@example.com:a/b.git',
    'ssh://git@example.com/b',
    'git://example.com/b',
    'https://example.com/b.git',
    'http://example.com/b.git#main:sub',
    'HTTPS://example.com/b.git?ref=x',
  ])('L-ADD-4: %s is a repository', async (text) => {
    const { definition } = await lowerText(`FROM scratch\nADD ${text} /x/\n`);
    expect(definition.vertices.map(({ op }) => op.kind)).toContain('git');
  });

  test.each([
    ['https://e.com/b.git?branch=a&tag=b', 'says both'],
    ['https://e.com/b.git?ref=a#b', 'says both'],
    ['https://e.com/b.git?subdir=a#:b', 'says both'],
    ['https://e.com/b.git?what=1', 'does not know `what`'],
    ['https://e.com/b.git?submodules=maybe', '`submodules=maybe`'],
    ['https://e.com/b.git?mtime=now', '`mtime=now`'],
    ['https://e.com/b.git?fetch-by-commit=1&commit=0123456', 'without a whole commit'],
    ['https://e.com/b.git#--upload-pack=touch', 'no git ref can be'],
    ['https://e.com/b.git?checksum=xyz', 'is no commit'],
  ])('L-ADD-4: %s is refused', async (text, message) => {
    const faults = await faultsOf(`FROM scratch\nADD ${text} /x/\n`);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(/^DOCKERFILE_BAD_ARGUMENT 2:5 /);
    expect(faults[0]).toContain(message);
  });
});
