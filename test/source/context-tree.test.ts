import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { copyEntries } from '../../src/image/copy.ts';
import type { Tree } from '../../src/image/tree.ts';
import type { StatCache } from '../../src/source/context-tree.ts';
import { contextTree } from '../../src/source/context-tree.ts';
import { parseIgnore } from '../../src/source/ignore.ts';
import { readAll } from '../../src/util/streams.ts';
import { tempFolder } from '../support/temp.ts';

function put(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

const pathsOf = async (tree: Tree, from = ''): Promise<string[]> =>
  (await Array.fromAsync(tree.walk(from))).map(({ path }) => path);

async function textOf(tree: Tree, path: string): Promise<string | undefined> {
  const entry = await tree.lstat(path);
  return entry?.content === undefined ? undefined : (await readAll(entry.content(), 1e6)).toString();
}

test('what a walk gives: order of bytes, owner 0:0, nanoseconds, links as they are', async () => {
  await using folder = await tempFolder('context');
  put(folder.path, { 'b/z': '1', 'b.txt': '22', B: '', 'a/x': '333' });
  symlinkSync('b/z', join(folder.path, 'link'));
  execFileSync('touch', ['-d', '2020-01-02 03:04:05.123456789Z', join(folder.path, 'b.txt')]);
  chmodSync(join(folder.path, 'b.txt'), 0o4751);
  const tree = contextTree(folder.path);
  const entries = await Array.fromAsync(tree.walk(''));
  expect(entries.map(({ path }) => path)).toEqual(['', 'B', 'a', 'a/x', 'b', 'b/z', 'b.txt', 'link']);
  expect(await tree.list('')).toEqual(['B', 'a', 'b', 'b.txt', 'link']);
  expect(entries.find(({ path }) => path === 'b.txt')).toMatchObject({
    mode: 0o4751,
    uid: 0,
    gid: 0,
    size: 2,
    mtime: 1577934245123456789n,
  });
  expect(entries.at(-1)).toMatchObject({ type: 'symlink', linkTarget: 'b/z', size: 0 });
  expect(await textOf(tree, 'a/x')).toBe('333');
});

test('hard links, FIFOs, sockets (L-COPY-10)', async () => {
  await using folder = await tempFolder('context');
  put(folder.path, { 'd/a': 'same', 'd/sub/x': '' });
  linkSync(join(folder.path, 'd/a'), join(folder.path, 'd/b'));
  execFileSync('mkfifo', [join(folder.path, 'd/fifo')]);
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(join(folder.path, 'd/sock'), resolve));
  try {
    const tree = contextTree(folder.path);
    const entries = await Array.fromAsync(tree.walk('d'));
    expect(entries.map(({ path, type, linkTarget }) => [path, type, linkTarget])).toEqual([
      ['d', 'directory', undefined],
      ['d/a', 'file', undefined],
      ['d/b', 'hardlink', 'd/a'],
      ['d/fifo', 'fifo', undefined],
      ['d/sock', 'file', undefined],
      ['d/sub', 'directory', undefined],
      ['d/sub/x', 'file', undefined],
    ]);
    expect(await textOf(tree, 'd/sock')).toBe('');
    // Through COPY, also when the first name is excluded.
    const copied = async (exclude: readonly string[]): Promise<unknown> => {
      const source = { kind: 'input', input: 0, paths: ['d'], extract: false } as const;
      const op = { sources: [source], dest: '/o', parents: false, exclude, link: false };
      const request = { op, sources: [{ source, tree, keepOwners: false }], base: undefined, now: 0n };
      const all = await Array.fromAsync(copyEntries(request));
      return all
        .filter(({ path }) => /^o\/[ab]$/.test(path))
        .map(({ path, type, linkTarget, size }) => [path, type, linkTarget, size]);
    };
    expect(await copied([])).toEqual([
      ['o/a', 'file', undefined, 4],
      ['o/b', 'hardlink', 'o/a', 0],
    ]);
    expect(await copied(['a'])).toEqual([['o/b', 'file', undefined, 4]]);
  } finally {
    await new Promise((resolve) => void server.close(resolve));
  }
});

test('extended attributes of users come along', async (context) => {
  await using folder = await tempFolder('context');
  put(folder.path, { f: '', plain: '' });
  try {
    execFileSync(
      'python3',
      ['-c', 'import os,sys; os.setxattr(sys.argv[1], "user.k", b"\\x80v")', join(folder.path, 'f')],
      {
        stdio: 'ignore',
      },
    );
  } catch {
    context.skip(
      process.env['TSBUILD_REQUIRE_ALL'] !== '1',
      'python3, or attributes on this filesystem, are missing',
    );
  }
  const tree = contextTree(folder.path);
  expect((await tree.lstat('f'))?.xattrs).toEqual({ 'user.k': Buffer.from([0x80, 0x76]) });
  expect(await tree.contentDigest('f')).not.toBe(await tree.contentDigest('plain'));
});

describe('ignore', () => {
  test('hides, re-includes with parents, and says which line it was', async () => {
    await using folder = await tempFolder('context');
    put(folder.path, {
      'src/a.c': '',
      'src/deep/b.c': '',
      'src/deep/b.o': '',
      'docs/x': '',
      'empty/only.o': '',
      keep: '',
    });
    const ignore = parseIgnore('*\n!keep\n!**/*.c\n', '.dockerignore');
    const tree = contextTree(folder.path, { ignore });
    expect(await pathsOf(tree)).toEqual(['', 'keep', 'src', 'src/a.c', 'src/deep', 'src/deep/b.c']);
    expect(await tree.list('')).toEqual(['keep', 'src']);
    expect(await tree.lstat('docs/x')).toBeUndefined();
    expect(await pathsOf(tree, 'docs')).toEqual([]);
    expect(await tree.hiddenBy?.('docs/x')).toEqual({ file: '.dockerignore', line: 1, pattern: '*' });
    expect(await tree.hiddenBy?.('docs/none')).toBeUndefined();
    expect(await tree.hiddenBy?.('keep')).toBeUndefined();
  });

  test('an excluded directory that nothing can come back from is not even read', async () => {
    await using folder = await tempFolder('context');
    put(folder.path, { 'locked/f': '', a: '' });
    // Reading it would fail, for root as well: it is no directory any more when the walk would come to it.
    const tree = contextTree(folder.path, { ignore: parseIgnore('locked\n', 'x') });
    await tree.lstat('locked');
    renameSync(join(folder.path, 'locked'), join(folder.path, 'moved'));
    rmSync(join(folder.path, 'moved'), { recursive: true });
    expect(await pathsOf(tree)).toEqual(['', 'a']);
  });
});

describe('nothing leads out of the context (S-P-1, CVE-2026-44517)', () => {
  test('links are never followed on the way, and are resolved inside', async () => {
    await using folder = await tempFolder('context');
    put(folder.path, { 'secret/passwd': 'outside', 'ctx/f': 'inside' });
    const root = join(folder.path, 'ctx');
    symlinkSync('../secret', join(root, 'up'));
    symlinkSync(join(folder.path, 'secret'), join(root, 'abs'));
    symlinkSync('/etc/passwd', join(root, 'pw'));
    symlinkSync('loop', join(root, 'loop'));
    symlinkSync('../../../../../../f', join(root, 'clamped'));
    const tree = contextTree(root);
    expect(await tree.lstat('up/passwd')).toBeUndefined();
    expect(await tree.lstat('abs/passwd')).toBeUndefined();
    expect(await tree.list('up')).toEqual([]);
    expect(await tree.lstat(await tree.resolve('up/passwd'))).toBeUndefined();
    expect(await tree.lstat(await tree.resolve('abs/passwd'))).toBeUndefined();
    expect(await tree.resolve('pw')).toBe('etc/passwd');
    expect(await textOf(tree, await tree.resolve('clamped'))).toBe('inside');
    await expect(tree.resolve('loop')).rejects.toMatchObject({ code: 'COPY_INVALID' });
    expect(await pathsOf(tree)).toEqual(['', 'abs', 'clamped', 'f', 'loop', 'pw', 'up']);
  });

  test('a file that becomes a link before it is read is not followed', async () => {
    await using folder = await tempFolder('context');
    put(folder.path, { secret: 'outside', 'ctx/f': 'inside!' });
    const tree = contextTree(join(folder.path, 'ctx'));
    const entry = await tree.lstat('f');
    rmSync(join(folder.path, 'ctx/f'));
    symlinkSync('../secret', join(folder.path, 'ctx/f'));
    await expect(readAll(entry?.content?.() as never, 100)).rejects.toMatchObject({
      code: 'CONTEXT_INVALID',
    });
    await expect(tree.contentDigest('f')).rejects.toMatchObject({
      code: 'CONTEXT_INVALID',
      hint: expect.stringContaining('a log that is written meanwhile') as string,
    });
  });

  test('nor through a directory that becomes a link', async () => {
    await using folder = await tempFolder('context');
    put(folder.path, { 'secret/f': 'outside', 'ctx/d/f': 'inside!' });
    const tree = contextTree(join(folder.path, 'ctx'));
    const entry = await tree.lstat('d/f');
    rmSync(join(folder.path, 'ctx/d'), { recursive: true });
    symlinkSync('../secret', join(folder.path, 'ctx/d'));
    await expect(readAll(entry?.content?.() as never, 100)).rejects.toMatchObject({
      code: 'CONTEXT_INVALID',
    });
  });

  test('a file that grows or shrinks meanwhile is an error, not a broken layer', async () => {
    await using folder = await tempFolder('context');
    put(folder.path, { f: '12345' });
    for (const content of ['123456789', '1']) {
      writeFileSync(join(folder.path, 'f'), '12345');
      const tree = contextTree(folder.path);
      const entry = await tree.lstat('f');
      writeFileSync(join(folder.path, 'f'), content);
      await expect(readAll(entry?.content?.() as never, 100)).rejects.toMatchObject({
        code: 'CONTEXT_INVALID',
      });
    }
  });
});

describe('content digest', () => {
  test('knows content and mode, not time', async () => {
    await using folder = await tempFolder('context');
    put(folder.path, { f: 'x' });
    const digest = (): Promise<string> => contextTree(folder.path).contentDigest('f');
    const first = await digest();
    utimesSync(join(folder.path, 'f'), 1, 1);
    expect(await digest()).toBe(first);
    chmodSync(join(folder.path, 'f'), 0o600);
    expect(await digest()).not.toBe(first);
    chmodSync(join(folder.path, 'f'), 0o644);
    expect(await digest()).toBe(first);
    writeFileSync(join(folder.path, 'f'), 'y');
    expect(await digest()).not.toBe(first);
  });

  test('asks the stat cache first, and fills it; the mode is not taken from it', async () => {
    await using folder = await tempFolder('context');
    put(folder.path, { f: 'x' });
    const kept = new Map<string, string>();
    let hits = 0;
    const statCache: StatCache = {
      get: (path) => {
        const found = kept.get(path);
        if (found !== undefined) hits += 1;
        return found;
      },
      set: (path, _, digest) => void kept.set(path, digest),
      directory: () => undefined,
      setDirectory: () => undefined,
    };
    const digest = (): Promise<string> => contextTree(folder.path, { statCache }).contentDigest('f');
    const first = await digest();
    expect(kept.size).toBe(1);
    expect(await digest()).toBe(first);
    expect(hits).toBe(1);
    chmodSync(join(folder.path, 'f'), 0o600);
    expect(await digest()).not.toBe(first);
  });
});

test('5000 files are walked and known again quickly', async () => {
  await using folder = await tempFolder('context');
  for (let d = 0; d < 50; d += 1) {
    mkdirSync(join(folder.path, `d${d}`));
    for (let f = 0; f < 100; f += 1) writeFileSync(join(folder.path, `d${d}`, `f${f}`), '');
  }
  const started = performance.now();
  expect(
    await pathsOf(contextTree(folder.path, { ignore: parseIgnore('**/*.log\n!x\n', 'i') })),
  ).toHaveLength(5051);
  expect(performance.now() - started).toBeLessThan(20_000);
});
