import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Entry } from '../../src/image/entry.ts';
import { decodeImplies, decodeIndex, indexHead, isOtherVersion } from '../../src/image/layer-index.ts';
import type { StoredLayer } from '../../src/image/layer-store.ts';
import { dir, file, opaque, streamOfEntries, symlink, whiteout } from './entries.ts';
import type { LocalStore } from './local-store.ts';
import { localStore } from './local-store.ts';

const layerOf = (store: LocalStore, entries: readonly Entry[]): Promise<StoredLayer> =>
  store.layers.fromEntries(streamOfEntries(...entries));
const indexOf = (store: LocalStore, layer: StoredLayer): string =>
  join(store.root, 'layers', layer.knownDiffId.slice(7), 'index.json');

describe('whether a layer implies directories', () => {
  const cases: Readonly<Record<string, readonly [boolean, readonly Entry[]]>> = {
    'all are named': [
      false,
      [dir('a'), dir('a/b'), file('a/b/c'), whiteout('a/x'), opaque('a/b'), file('f')],
    ],
    'named after what is in it': [false, [file('a/b'), dir('a')]],
    'of a file': [true, [dir('a'), file('a/b/c')]],
    'of a whiteout': [true, [whiteout('a/b')]],
    'of an opaque mark': [true, [opaque('a')]],
    'behind a link': [true, [dir('a'), symlink('l', 'b'), file('l/x')]],
    'behind a link in the place of a directory': [true, [dir('a'), symlink('a', 'b'), file('a/x')]],
  };
  test.each(Object.entries(cases))('%s', async (_, [expected, entries]) => {
    using store = localStore();
    const layer = await layerOf(store, entries);
    expect(await layer.impliesDirectories()).toBe(expected);
    // Another process reads no more than the beginning of the list.
    const text = readFileSync(indexOf(store, layer), 'utf8');
    expect(decodeImplies(text.slice(0, indexHead))).toBe(expected);
    writeFileSync(indexOf(store, layer), text.slice(0, indexHead));
    expect(await store.reopen().get(layer.knownDiffId)?.impliesDirectories()).toBe(expected);
    // Without it the layer is read again.
    rmSync(indexOf(store, layer));
    expect(await store.reopen().get(layer.knownDiffId)?.impliesDirectories()).toBe(expected);
  });

  test('a list of an earlier version does not say, is no damage, and is replaced', async () => {
    using store = localStore();
    const layer = await layerOf(store, [file('a/b')]);
    const current = readFileSync(indexOf(store, layer), 'utf8');
    const body = current.slice(65).replace('"version":3,"implies":true,', '"version":2,');
    const old = `${createHash('sha256').update(body).digest('hex')}\n${body}`;
    expect([decodeIndex(old), decodeImplies(old), isOtherVersion(old)]).toEqual([undefined, undefined, true]);
    expect([isOtherVersion(current), isOtherVersion(old.replace('0', '1'))]).toEqual([false, false]);
    writeFileSync(indexOf(store, layer), old);
    expect(await store.reopen().get(layer.knownDiffId)?.impliesDirectories()).toBe(true);
    expect(readFileSync(indexOf(store, layer), 'utf8')).toBe(current);
  });
});
