import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../../src/oci/digest.ts';
import { openStatCache } from '../../src/store/stat-cache.ts';
import { openState } from '../../src/store/state.ts';
import { makeTempDir } from '../../src/util/temp-dir.ts';

const key = digestOf('key');
const opKey = digestOf('op');
const record = {
  ...{ key, opKey, inputs: [digestOf('i')], kind: 'exec', name: 'RUN x', place: 'p' },
  result: { layers: ['a', 1, null] },
};
const indexFile = (root: string): string => join(root, 'state-v3.1.db');

describe('the index', () => {
  test('keeps records, layers and stats across opens', async () => {
    await using temp = await makeTempDir();
    let state = openState(temp.path, () => 1000);
    expect(state.cacheRecord(key)).toBeUndefined();
    state.putCacheRecord(record);
    const layer = { diffId: digestOf('d'), digest: digestOf('b'), mediaType: 'type', size: 2 ** 40 };
    state.putLayer(layer);
    const stat = { path: '/a', size: 1n, mtimeNs: 2n ** 62n, ctimeNs: 3n, ino: -4n, dev: 5n, digest: 'x' };
    state.putStat(stat);
    expect(state.stat('/a')).toEqual(stat);
    // Beyond SQLite's numbers: that file is forgotten, and no other.
    state.putStat({ ...stat, path: '/late', mtimeNs: 2n ** 63n });
    state.close();
    state = openState(temp.path);
    const full = { ...record, components: undefined, createdAt: 1000, lastUsed: 1000, uses: 1 };
    expect(state.cacheRecord(key)).toEqual(full);
    expect(state.newestOfOp(opKey)).toEqual(full);
    expect(state.layers(layer.diffId)).toEqual([layer]);
    expect(state.layerByDigest(layer.digest)).toEqual(layer);
    expect(state.stat('/late')).toBeUndefined();
    expect(state.stat('/a')).toEqual(stat);
    expect([...state.digests()]).toEqual([layer.digest]);
    state.deleteCacheRecord(key);
    state.deleteLayer(layer.digest);
    expect([state.cacheRecord(key), state.layerByDigest(layer.digest)]).toEqual([undefined, undefined]);
    state.close();
  });

  test('opens nothing before the first question', async () => {
    await using temp = await makeTempDir();
    openState(temp.path).close();
    expect(readdirSync(temp.path)).toEqual([]);
  });

  test('notes a use at most once an hour, so builds in a row write nothing', async () => {
    await using temp = await makeTempDir();
    let time = 0;
    const use = (at: number): number | undefined => {
      time = at;
      const state = openState(temp.path, () => time);
      const found = state.cacheRecord(key);
      if (found === undefined) state.putCacheRecord(record);
      else state.used(found);
      state.close();
      return found?.lastUsed;
    };
    const mtime = (): bigint => statSync(indexFile(temp.path), { bigint: true }).mtimeNs;
    use(0);
    const written = mtime();
    expect(use(3_000_000)).toBe(0);
    expect(mtime()).toBe(written);
    expect(use(4_000_000)).toBe(0);
    expect(use(4_000_001)).toBe(4_000_000);
  });

  test.each([
    ['rubbish', (path: string) => writeFileSync(path, 'x'.repeat(9000))],
    ['cut short', (path: string) => truncateSync(path, 5000)],
    [
      'a hole in the middle',
      (path: string) =>
        writeFileSync(path, Buffer.concat([readFileSync(path).subarray(0, 4096), Buffer.alloc(40_000, 7)])),
    ],
    ['emptied', (path: string) => truncateSync(path, 0)],
  ])('%s: it is made anew, and works', async (_name, damage) => {
    await using temp = await makeTempDir();
    let state = openState(temp.path);
    state.putCacheRecord(record);
    state.close();
    damage(indexFile(temp.path));
    state = openState(temp.path);
    expect(state.cacheRecord(key)).toBeUndefined();
    state.putCacheRecord(record);
    state.close();
    state = openState(temp.path);
    expect(state.cacheRecord(key)?.name).toBe('RUN x');
    state.close();
    expect(readdirSync(temp.path).filter((name) => name.endsWith('.db'))).toHaveLength(1);
  });

  test('a record that is no JSON, and missing tables, are damage too', async () => {
    for (const sql of ["UPDATE cache_record SET result = '{'", 'DROP TABLE cache_record']) {
      await using temp = await makeTempDir();
      let state = openState(temp.path);
      state.putCacheRecord(record);
      state.close();
      const { DatabaseSync } = await import('node:sqlite');
      const db = new DatabaseSync(indexFile(temp.path));
      db.exec(sql);
      db.close();
      state = openState(temp.path);
      expect(state.cacheRecord(key)).toBeUndefined();
      state.putCacheRecord(record);
      expect(state.cacheRecord(key)?.key).toBe(key);
      state.close();
    }
  });

  test('something in its place that is no file', async () => {
    await using temp = await makeTempDir();
    mkdirSync(indexFile(temp.path));
    const state = openState(temp.path);
    state.putCacheRecord(record);
    expect(state.cacheRecord(key)?.key).toBe(key);
    state.close();
  });

  test('two open at once see what the other writes, also while one rebuilds', async () => {
    await using temp = await makeTempDir();
    writeFileSync(indexFile(temp.path), 'x'.repeat(9000));
    const [one, two] = [openState(temp.path), openState(temp.path)];
    one.putCacheRecord(record);
    expect(two.cacheRecord(key)?.key).toBe(key);
    two.putCacheRecord({ ...record, name: 'other' });
    expect(one.cacheRecord(key)?.name).toBe('other');
    one.close();
    two.close();
  });

  test('opens and answers quickly', async () => {
    await using temp = await makeTempDir();
    let state = openState(temp.path);
    state.putCacheRecord(record);
    state.close();
    const times = [1, 2, 3, 4, 5].map(() => {
      const start = performance.now();
      state = openState(temp.path);
      for (let index = 0; index < 20; index++) state.cacheRecord(key);
      state.close();
      return performance.now() - start;
    });
    // About 1 ms; a wide margin, since the machine may be busy.
    expect(Math.min(...times)).toBeLessThan(200);
  });

  test('its file is for the owner: the mode of the store keeps others out', async () => {
    await using temp = await makeTempDir();
    chmodSync(temp.path, 0o700);
    const state = openState(temp.path);
    state.putCacheRecord(record);
    state.close();
    expect(statSync(temp.path).mode & 0o077).toBe(0);
  });
});

describe('the stat cache', () => {
  const opened = 1_000_000;
  const at = (ms: number): bigint => BigInt(Math.round(ms * 1_000_000)) + 1n;
  const stat = { size: 5n, mtimeNs: at(1000), ctimeNs: at(1000), ino: 2n ** 63n + 1n, dev: 2n };

  test('knows a file by all that changes with it', async () => {
    await using temp = await makeTempDir();
    const state = openState(temp.path);
    const cache = openStatCache(state, opened);
    cache.set('/f', stat, 'digest');
    state.flush();
    expect(cache.get('/f', stat)).toBe('digest');
    expect(cache.get('/f', { ...stat, size: 5 })).toBe('digest');
    for (const other of [{ size: 6n }, { mtimeNs: 1n }, { ctimeNs: 1n }, { ino: 3n }, { dev: 3n }]) {
      expect(cache.get('/f', { ...stat, ...other })).toBeUndefined();
    }
    expect(cache.get('/g', stat)).toBeUndefined();
    state.close();
  });

  test('answers the same when many are asked: by then it reads in bulk', async () => {
    await using temp = await makeTempDir();
    const paths = Array.from({ length: 400 }, (_, number) => `/c/${number % 7}/${number}`);
    let state = openState(temp.path);
    const writer = openStatCache(state, opened);
    for (const path of ['/c', '/c0', '/c/0', ...paths]) writer.set(path, stat, `of ${path}`);
    state.close();
    state = openState(temp.path);
    const cache = openStatCache(state, opened);
    cache.set('/c/3/3', stat, 'newer');
    const answers = [...paths, '/c', '/c0', '/c/0', '/c/none', '/other'].map((path) => cache.get(path, stat));
    expect(answers).toEqual([
      ...paths.map((path) => (path === '/c/3/3' ? 'newer' : `of ${path}`)),
      'of /c',
      'of /c0',
      'of /c/0',
      undefined,
      undefined,
    ]);
    cache.set('/c/new', stat, 'new');
    expect(cache.get('/c/new', stat)).toBe('new');
    state.flush();
    expect(state.stat('/c/new')?.digest).toBe('new');
    state.close();
  });

  test('does not trust a file that may change within the same tick (racy git)', async () => {
    await using temp = await makeTempDir();
    const state = openState(temp.path);
    const cache = openStatCache(state, opened);
    const isKept = (mtimeNs: bigint, ctimeNs: bigint): boolean => {
      const path = `/${mtimeNs}-${ctimeNs}`;
      cache.set(path, { ...stat, mtimeNs, ctimeNs }, 'digest');
      return cache.get(path, { ...stat, mtimeNs, ctimeNs }) !== undefined;
    };
    expect(isKept(at(opened - 1000), at(opened - 1000))).toBe(true);
    expect(isKept(at(opened - 5), at(opened - 1000))).toBe(false);
    expect(isKept(at(opened - 1000), at(opened - 5))).toBe(false);
    expect(isKept(at(opened + 5000), at(opened - 1000))).toBe(false);
    // Whole seconds: a filesystem with a coarse clock.
    expect(isKept(BigInt(opened - 1000) * 1_000_000n, BigInt(opened - 1000) * 1_000_000n)).toBe(false);
    expect(isKept(BigInt(opened - 3000) * 1_000_000n, BigInt(opened - 3000) * 1_000_000n)).toBe(true);
    state.close();
  });
});
