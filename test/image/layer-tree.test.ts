import { describe, expect, test } from 'vitest';
import type { Entry } from '../../src/image/entry.ts';
import { layerTree } from '../../src/image/layer-tree.ts';
import type { Tree } from '../../src/image/tree.ts';
import {
  dir,
  file,
  hardlink,
  opaque,
  outline,
  streamOfEntries,
  symlink,
  textOf,
  whiteout,
} from './entries.ts';
import type { LocalStore } from './local-store.ts';
import { localStore } from './local-store.ts';

async function treeOf(store: LocalStore, ...layers: readonly (readonly Entry[])[]): Promise<Tree> {
  return layerTree(
    await Promise.all(layers.map((entries) => store.layers.fromEntries(streamOfEntries(...entries)))),
  );
}

describe('layerTree', () => {
  test('shows files of all layers, the upper over the lower', async () => {
    using store = localStore();
    const tree = await treeOf(
      store,
      [dir('a', { mode: 0o700 }), file('a/x', 'low'), file('a/y', 'low'), dir('b')],
      [dir('a', { mode: 0o711 }), file('a/x', 'high'), file('new/deep/z', 'z')],
    );
    expect(await outline(tree.walk(''))).toEqual([
      'directory ',
      'directory a',
      'file a/x',
      'file a/y',
      'directory b',
      'directory new',
      'directory new/deep',
      'file new/deep/z',
    ]);
    expect(await textOf((await tree.lstat('a/x'))?.content?.())).toBe('high');
    expect(await textOf((await tree.lstat('a/y'))?.content?.())).toBe('low');
    expect((await tree.lstat('a'))?.mode).toBe(0o711);
    expect(await tree.list('a')).toEqual(['x', 'y']);
    expect([await tree.list('a/x'), await tree.lstat('none/x'), await tree.lstat('a/x/y')]).toEqual([
      [],
      undefined,
      undefined,
    ]);
    expect(await outline(tree.walk('none'))).toEqual([]);
  });

  test('whiteouts and opaque markers hide lower layers alone, wherever they stand', async () => {
    using store = localStore();
    const low = [
      dir('d'),
      file('d/1', ''),
      dir('o'),
      file('o/low', ''),
      dir('w'),
      file('w/low', ''),
      file('f', ''),
    ];
    const tree = await treeOf(store, low, [
      dir('d'),
      whiteout('d/1'),
      dir('o'),
      file('o/high', ''),
      opaque('o'),
      dir('w'),
      file('w/high', ''),
      whiteout('w'),
      file('f', 'new'),
      whiteout('f'),
    ]);
    expect(await outline(tree.walk(''))).toEqual([
      'directory ',
      'directory d',
      'file f',
      'directory o',
      'file o/high',
      'directory w',
      'file w/high',
    ]);
  });

  test('types change between layers', async () => {
    using store = localStore();
    const tree = await treeOf(
      store,
      [dir('a'), file('a/x', ''), file('b', ''), symlink('c', 'a')],
      [file('a', 'file'), dir('b'), file('b/y', ''), file('c/z', '')],
    );
    expect(await outline(tree.walk(''))).toEqual([
      'directory ',
      'file a',
      'directory b',
      'file b/y',
      'directory c',
      'file c/z',
    ]);
  });

  test('a link of the same layer is followed for its own entries, not out of the root', async () => {
    using store = localStore();
    const tree = await treeOf(store, [
      dir('usr'),
      dir('usr/lib'),
      symlink('lib', '../../usr/lib'),
      file('lib/x', 'here'),
    ]);
    expect(await textOf((await tree.lstat('usr/lib/x'))?.content?.())).toBe('here');
    expect(await tree.resolve('lib/x')).toBe('usr/lib/x');
    expect(await tree.resolve('lib', 'keep')).toBe('lib');
  });

  test('hard links share one file until a layer replaces one of them', async () => {
    using store = localStore();
    const low = [dir('d'), file('d/a', 'same'), hardlink('b', 'd/a'), hardlink('c', 'd/a')];
    const tree = await treeOf(store, low, [file('c', 'other')]);
    expect(await outline(tree.walk(''))).toEqual([
      'directory ',
      'file b',
      'file c',
      'directory d',
      'hardlink d/a -> b',
    ]);
    expect(await textOf((await tree.lstat('d/a'))?.content?.())).toBe('same');
    expect((await tree.lstat('b'))?.type).toBe('file');
    expect(await outline(tree.walk('d'))).toEqual(['directory d', 'file d/a']);
    expect(await tree.contentDigest('b')).toBe(await tree.contentDigest('d/a'));
  });

  test('the content digest is that of what COPY would take, never of the time', async () => {
    using store = localStore();
    const digest = async (...entries: readonly Entry[]): Promise<string> =>
      (await treeOf(store, entries)).contentDigest('f');
    const plain = await digest(file('f', 'x'));
    expect(await digest(file('f', 'x', { mtime: 7n }))).toBe(plain);
    expect(await digest(file('f', 'x', { xattrs: { 'security.selinux': Buffer.from('label') } }))).toBe(
      plain,
    );
    for (const other of [
      file('f', 'y'),
      file('f', 'x', { mode: 0o600 }),
      file('f', 'x', { uid: 1 }),
      file('f', 'x', { xattrs: { 'user.a': Buffer.from('1') } }),
      symlink('f', 'x'),
      dir('f'),
    ]) {
      expect(await digest(other)).not.toBe(plain);
    }
  });

  test('a layer that cannot be is refused', async () => {
    using store = localStore();
    const invalid = { code: 'IMAGE_INVALID' };
    await expect((await treeOf(store, [hardlink('h', 'none')])).list('')).rejects.toMatchObject(invalid);
    await expect((await treeOf(store, [symlink('a', 'a'), file('a/x', '')])).list('')).rejects.toMatchObject(
      invalid,
    );
    await expect((await treeOf(store, [file('a', ''), file('a/x', '')])).list('')).rejects.toMatchObject(
      invalid,
    );
  });

  test('names sort by bytes', async () => {
    using store = localStore();
    const tree = await treeOf(store, [
      file('\u{ff5e}', ''),
      file('\u{1f600}', ''),
      file('b', ''),
      file('B', ''),
    ]);
    expect(await tree.list('')).toEqual(['B', 'b', '\u{ff5e}', '\u{1f600}']);
  });
});
