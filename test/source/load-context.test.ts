import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { OpenContextOptions } from '../../src/source/load-context.ts';
import { openContext } from '../../src/source/load-context.ts';
import { streamOf } from '../../src/util/streams.ts';
import { tempFolder } from '../support/temp.ts';

interface Place {
  readonly root: string;
  readonly options: OpenContextOptions;
}

async function withFiles(
  files: Readonly<Record<string, string>>,
  use: (place: Place) => Promise<void>,
): Promise<void> {
  await using folder = await tempFolder('load');
  const temp = join(folder.path, 'temp');
  mkdirSync(temp);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder.path, path)), { recursive: true });
    if (content.startsWith('-> ')) symlinkSync(content.slice(3), join(folder.path, path));
    else writeFileSync(join(folder.path, path), content);
  }
  await use({
    root: folder.path,
    options: { env: {}, tempDir: () => Promise.resolve(temp), cwd: folder.path },
  });
  // Whatever happened, nothing of ours is left.
  expect(readdirSync(temp)).toEqual([]);
}

describe('local directories', () => {
  test('Dockerfile, then dockerfile; ignored and still read', async () => {
    const files = {
      'ctx/dockerfile': 'lower',
      'two/Dockerfile': 'UPPER',
      'two/dockerfile': 'lower',
      'two/.dockerignore': '*',
    };
    await withFiles(files, async ({ options }) => {
      await using one = await openContext('ctx', options);
      expect(await one.dockerfile()).toMatchObject({ name: 'dockerfile', text: 'lower' });
      await using two = await openContext('two', options);
      expect(await two.dockerfile()).toMatchObject({ name: 'Dockerfile', text: 'UPPER' });
      expect(await two.tree.list('')).toEqual([]);
    });
  });

  test('-f is relative to the working directory, and may lie outside', async () => {
    const files = {
      'ctx/a': '',
      'ctx/docker/D': 'in',
      'elsewhere/D': 'out',
      'elsewhere/D.dockerignore': 'a',
    };
    await withFiles(files, async ({ options }) => {
      await using inside = await openContext('ctx', { ...options, dockerfile: 'ctx/docker/D' });
      const { text, file = '' } = await inside.dockerfile();
      expect(text).toBe('in');
      expect(readFileSync(file, 'utf8')).toBe('in');
      expect(await inside.tree.list('')).toEqual(['a', 'docker']);
      await using outside = await openContext('ctx', { ...options, dockerfile: 'elsewhere/D' });
      expect((await outside.dockerfile()).text).toBe('out');
      expect(await outside.tree.list('')).toEqual(['docker']);
      const wrong = await openContext('ctx', { ...options, dockerfile: 'docker/D' });
      await expect(wrong.dockerfile()).rejects.toMatchObject({
        code: 'DOCKERFILE_NOT_FOUND',
        hint: expect.stringContaining('`-f ctx/docker/D`'),
      });
    });
  });

  test('<Dockerfile>.dockerignore replaces .dockerignore; its error has the line', async () => {
    const files = {
      'c/Dockerfile': '',
      'c/.dockerignore': 'a',
      'c/Dockerfile.dockerignore': 'b',
      'c/a': '',
      'c/b': '',
      'bad/.dockerignore': 'ok\n[',
    };
    await withFiles(files, async ({ options }) => {
      await using context = await openContext('c', options);
      expect(await context.tree.list('')).toEqual([
        '.dockerignore',
        'Dockerfile',
        'Dockerfile.dockerignore',
        'a',
      ]);
      await using named = await openContext('c', { ...options, dockerfile: false });
      expect(await named.tree.list('')).not.toContain('a');
      await expect(openContext('bad', options)).rejects.toMatchObject({
        code: 'IGNORE_FILE_INVALID',
        details: { line: 2 },
      });
    });
  });

  test('what is missing is told with what is there', async () => {
    await withFiles({ 'c/Containerfile': '', 'c/x': '', f: '' }, async ({ options }) => {
      await expect(openContext('none', options)).rejects.toMatchObject({ code: 'CONTEXT_NOT_FOUND' });
      await expect(openContext('f', options)).rejects.toMatchObject({ code: 'CONTEXT_INVALID' });
      const context = await openContext('c', options);
      await expect(context.dockerfile()).rejects.toMatchObject({
        code: 'DOCKERFILE_NOT_FOUND',
        hint: expect.stringContaining('Containerfile'),
      });
    });
  });

  test('a Dockerfile that is a link to itself is told', async () => {
    await withFiles({ 'ctx/Dockerfile': '-> Dockerfile' }, async ({ options }) => {
      const context = await openContext('ctx', options);
      await expect(context.dockerfile()).rejects.toMatchObject({
        code: 'DOCKERFILE_NOT_FOUND',
        message: expect.stringMatching(/^cannot read `Dockerfile`: .* symbolic links$/),
      });
    });
  });

  test('a directory in the place of a Dockerfile is told', async () => {
    await withFiles({ 'ctx/Dockerfile/x': '', 'out/x': '' }, async ({ options }) => {
      for (const [dockerfile, named] of [
        [undefined, 'Dockerfile'],
        ['ctx/Dockerfile', 'ctx/Dockerfile'],
        ['out', 'out'],
      ]) {
        const opened = await openContext('ctx', { ...options, dockerfile });
        await expect(opened.dockerfile()).rejects.toMatchObject({
          code: 'DOCKERFILE_NOT_FOUND',
          message: `\`${named}\` is a directory, not a Dockerfile`,
        });
      }
    });
  });

  test.each([
    // What is named with -f is relative to the working directory, and so is what is suggested.
    [undefined, 'ctx', 'there is `ctx/Containerfile`: name it with -f'],
    ['Dockerfile', 'ctx', 'there is `ctx/Containerfile`: name it with -f'],
    ['ctx/Dokcerfile', 'ctx', 'there is `ctx/Containerfile`: name it with -f'],
    [
      'ctx/sub/Dockerfile.prd',
      'ctx',
      'there is `ctx/sub/Dockerfile.prod`, `ctx/Containerfile`: name it with -f',
    ],
    ['out/Dockerfile.x', 'ctx', 'there is `out/Dockerfile.y`, `ctx/Containerfile`: name it with -f'],
    ['nowhere/D', 'ctx', 'there is `ctx/Containerfile`: name it with -f'],
    [
      'sub/Dockerfile.prod',
      'ctx',
      '-f is relative to the working directory: did you mean `-f ctx/sub/Dockerfile.prod`?',
    ],
    ['Dockerfile', 'empty', 'name it with -f, as seen from the working directory'],
    [undefined, 'empty', 'name it with -f'],
  ])('a missing Dockerfile %s of %s: %s', async (dockerfile, context, hint) => {
    const files = {
      'ctx/Containerfile': '',
      'ctx/Containerfile.dockerignore': '',
      'ctx/sub/Dockerfile.prod': '',
      'out/Dockerfile.y': '',
      'empty/file': '',
    };
    await withFiles(files, async ({ options }) => {
      const opened = await openContext(context, { ...options, dockerfile });
      await expect(opened.dockerfile()).rejects.toMatchObject({ code: 'DOCKERFILE_NOT_FOUND', hint });
    });
  });

  test('no link leads Dockerfile or ignore file out of the context (CVE-2022-4122)', async () => {
    const files = {
      secret: 'secret',
      'c/Dockerfile': '-> ../secret',
      'c/.dockerignore': '-> ../secret',
      'c/secrets': '',
      'c/real/D': 'ok',
      'c/D': '-> real/D',
    };
    await withFiles(files, async ({ options }) => {
      await using context = await openContext('c', options);
      await expect(context.dockerfile()).rejects.toMatchObject({
        code: 'DOCKERFILE_NOT_FOUND',
        hint: expect.stringContaining('it is a link to `../secret`'),
      });
      expect(await context.tree.list('')).toContain('secrets');
      await using byPath = await openContext('c', { ...options, dockerfile: 'c/Dockerfile' });
      await expect(byPath.dockerfile()).rejects.toMatchObject({ code: 'DOCKERFILE_NOT_FOUND' });
      await using inner = await openContext('c', { ...options, dockerfile: 'c/D' });
      expect((await inner.dockerfile()).text).toBe('ok');
    });
  });

  test('the Dockerfile as text, from a stream and from standard input', async () => {
    await withFiles({ 'c/x': '' }, async ({ options }) => {
      const read = async (more: Partial<OpenContextOptions>): Promise<string> =>
        (await (await openContext('c', { ...options, ...more })).dockerfile()).text;
      expect(await read({ dockerfile: { text: 'FROM a' } })).toBe('FROM a');
      expect(await read({ dockerfile: { stream: streamOf('FROM b') } })).toBe('FROM b');
      expect(await read({ dockerfile: '-', stdin: streamOf('FROM c') })).toBe('FROM c');
      await expect(openContext('-', { ...options, dockerfile: '-' })).rejects.toMatchObject({
        code: 'USAGE',
      });
    });
  });
});

describe('from a stream', () => {
  test('a disk that gets full meanwhile is told as that', async () => {
    async function* full(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('FROM scratch\n');
      throw Object.assign(new Error('write'), { code: 'ENOSPC' });
    }
    await withFiles({}, async ({ root, options }) => {
      await expect(openContext({ stream: full() }, options)).rejects.toMatchObject({ code: 'DISK_FULL' });
      expect(readdirSync(join(root, 'temp'))).toEqual([]);
    });
  });

  test('a tar archive, packed too; owners are root; no ignore file counts', async () => {
    const files = { 't/Dockerfile': 'FROM x', 't/.dockerignore': '*', 't/d/f': 'F', 't/other': 'O' };
    await withFiles(files, async ({ root, options }) => {
      for (const flag of ['-c', '-cz', '-cj', '-cJ']) {
        const bytes = execFileSync('tar', [flag, '-C', join(root, 't'), '--owner=1234', '.']);
        await using context = await openContext({ stream: streamOf(bytes) }, options);
        expect((await context.dockerfile()).text).toBe('FROM x');
        expect(await context.tree.list('')).toEqual(['.dockerignore', 'Dockerfile', 'd', 'other']);
        expect(await context.tree.lstat('d/f')).toMatchObject({ uid: 0, size: 1 });
        await using named = await openContext('-', {
          ...options,
          stdin: streamOf(bytes),
          dockerfile: 'other',
        });
        expect((await named.dockerfile()).text).toBe('O');
      }
    });
  });

  test('a bare Dockerfile has an empty context', async () => {
    await withFiles({}, async ({ options }) => {
      await using context = await openContext({ stream: streamOf('FROM ', 'scratch\n') }, options);
      expect(await context.dockerfile()).toEqual({ name: 'Dockerfile', text: 'FROM scratch\n' });
      expect(await context.tree.list('')).toEqual([]);
      for (const bad of [Buffer.alloc(0), Buffer.from([1, 0, 2])]) {
        await expect(openContext({ stream: streamOf(bad) }, options)).rejects.toMatchObject({
          code: 'CONTEXT_INVALID',
        });
      }
    });
  });

  test('an archive cannot write or read outside (kaniko CVE-2026-28406, CVE-2026-44517)', async () => {
    await withFiles(
      { outside: 'secret', 't/Dockerfile': '-> ../../outside', 't/up': '-> ../..' },
      async ({ root, options }) => {
        const climbing = execFileSync(
          'tar',
          ['-cP', '-C', join(root, 't'), '--transform', 's,^Dockerfile,../../climbed,', 'Dockerfile'],
          { stdio: 'pipe' },
        );
        await expect(openContext({ stream: streamOf(climbing) }, options)).rejects.toMatchObject({
          code: 'CONTEXT_INVALID',
        });
        const links = execFileSync('tar', ['-c', '-C', join(root, 't'), '.']);
        await using context = await openContext({ stream: streamOf(links) }, options);
        await expect(context.dockerfile()).rejects.toMatchObject({ code: 'DOCKERFILE_NOT_FOUND' });
        expect(await context.tree.list('up')).toEqual([]);
        expect(readdirSync(root).toSorted()).toEqual(['outside', 't', 'temp']);
      },
    );
  });
});
