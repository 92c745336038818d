import { describe, expect, test } from 'vitest';
import type { Entry } from '../../src/image/entry.ts';
import type { LayerTree } from '../../src/image/layer-tree.ts';
import { layerTree } from '../../src/image/layer-tree.ts';
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

async function treeOf(store: LocalStore, ...layers: readonly (readonly Entry[])[]): Promise<LayerTree> {
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

  test.each([
    ['in the place of a link', 'usr/lib'],
    ['in the place of a link out of the root', '../../../../etc'],
    ['in the place of a link to the root', '/'],
  ])('a whiteout makes its parent, %s of a lower layer', async (_, target) => {
    using store = localStore();
    const low = [dir('usr'), dir('usr/lib'), file('usr/lib/x'), file('x'), symlink('lib', target)];
    for (const hidden of [whiteout('lib/x'), opaque('lib')])
      expect(await outline((await treeOf(store, low, [hidden])).walk(''))).toEqual([
        'directory ',
        'directory lib',
        'directory usr',
        'directory usr/lib',
        'file usr/lib/x',
        'file x',
      ]);
    const own = await treeOf(store, low, [symlink('lib', target), whiteout('lib/x')]);
    expect((await own.lstat('lib'))?.linkTarget).toBe(target);
  });

  test('tells the directories that a layer put something into without naming them, with those above', async () => {
    using store = localStore();
    const low = [
      ...[dir('a', { mode: 0o711 }), dir('a/b', { mode: 0o1777, uid: 7, mtime: 3n }), dir('a/b/c')],
      ...[dir('gone', { mode: 0o700 }), dir('named', { mode: 0o700 }), dir('opaque', { mode: 0o700 })],
      file('opaque/low'),
    ];
    const covered = async (...layers: readonly (readonly Entry[])[]): Promise<unknown> =>
      (await (await treeOf(store, low, ...layers)).covered()).map(({ path, mode, uid, mtime }) =>
        [path, mode.toString(8), uid, mtime].join(' '),
      );
    const old = 1_700_000_000_000_000_000n;
    expect(await covered([file('f'), dir('named')])).toEqual([]);
    expect(await covered([dir('a', { mode: 0o700 }), file('a/b/x')])).toEqual([
      `a 700 0 ${old}`,
      'a/b 1777 7 3',
    ]);
    expect(await covered([file('a/b/x')], [dir('a', { mode: 0o700 }), dir('a/b')])).toEqual([]);
    expect(await covered([whiteout('a/b/c'), opaque('opaque'), file('new/x')])).toEqual([
      `a 711 0 ${old}`,
      'a/b 1777 7 3',
      `opaque 700 0 ${old}`,
    ]);
    expect(await covered([whiteout('gone')], [file('gone/x')], [file('gone/y')])).toEqual([]);
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

  test('a hard link keeps the file that it was made of, whatever takes its name', async () => {
    using store = localStore();
    const tree = await treeOf(store, [file('f', 'first'), hardlink('h', 'f'), file('f', 'second')]);
    for (const [path, text] of [
      ['f', 'second'],
      ['h', 'first'],
    ] as const)
      expect(await textOf((await tree.lstat(path))?.content?.())).toBe(text);
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
    // One to a file of a lower layer: its own directory, which a step would get, cannot have it.
    await expect((await treeOf(store, [file('f', '')], [hardlink('h', 'f')])).list('')).rejects.toMatchObject(
      {
        ...invalid,
        message: expect.stringContaining('/h is a hard link to f, which is no file of this layer') as string,
        hint: expect.stringContaining('can link its own files only') as string,
      },
    );
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
