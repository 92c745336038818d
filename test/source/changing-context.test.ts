import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Tree } from '../../src/image/tree.ts';
import { contextTree } from '../../src/source/context-tree.ts';
import { openStatCache } from '../../src/store/stat-cache.ts';
import { openState } from '../../src/store/state.ts';
import { readAll } from '../../src/util/streams.ts';
import { tempFolder } from '../support/temp.ts';

// The key of a COPY is made when a build begins, its layer perhaps minutes later: both must be of the same files.

async function withTree(check: (tree: Tree, path: string) => Promise<void>): Promise<void> {
  await using folder = await tempFolder('changing');
  mkdirSync(join(folder.path, 'd'));
  writeFileSync(join(folder.path, 'd/a'), '1');
  utimesSync(join(folder.path, 'd/a'), 1000, 1000);
  symlinkSync('one', join(folder.path, 'd/l'));
  await check(contextTree(folder.path), folder.path);
}

async function copied(tree: Tree): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { path, content } of tree.walk('d')) {
    found.push(path);
    if (content !== undefined) await readAll(content(), 10);
  }
  return found;
}

test('a file that comes after the digest of its directory is not copied', () =>
  withTree(async (tree, path) => {
    await tree.contentBelow?.('d');
    writeFileSync(join(path, 'd/new'), '');
    expect(await copied(tree)).toEqual(['d', 'd/a', 'd/l']);
  }));

test('a file that goes after the digest of its directory is an error', () =>
  withTree(async (tree, path) => {
    await tree.contentBelow?.('d');
    rmSync(join(path, 'd/a'));
    await expect(copied(tree)).rejects.toMatchObject({ code: 'CONTEXT_INVALID' });
  }));

test.each(['2', '1'])('a file that is written with the same size after its digest is an error (%s)', (text) =>
  withTree(async (tree, path) => {
    await tree.contentDigest('d/a');
    writeFileSync(join(path, 'd/a'), text);
    utimesSync(join(path, 'd/a'), 1000, 1000);
    await expect(copied(tree)).rejects.toMatchObject({ code: 'CONTEXT_INVALID' });
  }),
);

test('a link that leads elsewhere after its digest is an error', () =>
  withTree(async (tree, path) => {
    await tree.contentDigest('d/l');
    symlinkSync('two', join(path, 'd/x'));
    renameSync(join(path, 'd/x'), join(path, 'd/l'));
    await expect(copied(tree)).rejects.toMatchObject({ code: 'CONTEXT_INVALID' });
  }));

test.each<[string, (path: string) => void]>([
  ['another mode', (path) => chmodSync(path, 0o700)],
  [
    'another directory in its place',
    (path) => {
      renameSync(path, `${path}2`);
      mkdirSync(path);
    },
  ],
])('a directory that is known from the build before: %s after its digest is an error', async (_, change) => {
  await using folder = await tempFolder('changing');
  const path = join(folder.path, 'context');
  mkdirSync(join(path, 'd/e'), { recursive: true });
  mkdirSync(join(folder.path, 'store'));
  const withState = async (use: (tree: Tree) => Promise<void>): Promise<void> => {
    const state = openState(join(folder.path, 'store'));
    try {
      await use(contextTree(path, { statCache: openStatCache(state, Date.now() + 60_000) }));
    } finally {
      state.close();
    }
  };
  await withState(async (tree) => void (await tree.contentBelow?.('d')));
  await withState(async (tree) => {
    await tree.contentBelow?.('d');
    change(join(path, 'd/e'));
    await expect(copied(tree)).rejects.toMatchObject({ code: 'CONTEXT_INVALID' });
  });
});
