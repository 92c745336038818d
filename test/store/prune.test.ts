import { execFileSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { digestOf } from '../../src/oci/digest.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import { tryLockFile } from '../../src/store/lock.ts';
import { parseAge, parsePruneFilter } from '../../src/store/prune-filter.ts';
import type { PruneRequest, Pruned } from '../../src/store/prune.ts';
import { pruneStore } from '../../src/store/prune.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/store.ts';
import { treeUsage } from '../../src/store/tree-usage.ts';
import type { UsageRecord } from '../../src/store/usage.ts';
import { surveyStore } from '../../src/store/usage.ts';
import type { TempDir } from '../../src/util/temp-dir.ts';
import { makeTempDir } from '../../src/util/temp-dir.ts';

const hour = 3_600_000;
let temp: TempDir;
let root: string;

beforeEach(async () => {
  temp = await makeTempDir();
  root = join(temp.path, 'store');
});
afterEach(() => temp[Symbol.asyncDispose]());

/** A layer with an unpacked tree, and the record of the step that made it, so many hours ago. */
function addLayer(
  store: Store,
  name: string,
  { hours = 1, size = 100_000, below = [] as Digest[] } = {},
): Digest {
  const diffId = digestOf(name);
  const home = join(root, 'layers', diffId.slice(7));
  mkdirSync(join(home, 'fs'), { recursive: true });
  writeFileSync(join(home, 'fs/file'), Buffer.alloc(size, 1));
  writeFileSync(join(home, 'canonical'), '');
  const key = digestOf(`key ${name}`);
  const result = [...below, diffId].map((digest) => [digest, '2026-01-01T00:00:00Z']);
  store.state.putCacheRecord({ key, opKey: key, inputs: [], kind: 'exec', name, result });
  age(home, hours);
  return diffId;
}

function age(path: string, hours: number): void {
  const time = (Date.now() - hours * hour) / 1000;
  utimesSync(path, time, time);
}

async function addImage(store: Store, name: string, diffId: Digest): Promise<Digest> {
  const layer = await store.blobs.putBytes(Buffer.from(`blob of ${diffId}`));
  const config = await store.blobs.putBytes(Buffer.from(`{"name":"${name}"}`));
  const of = (digest: Digest, type: string) => ({
    mediaType: type,
    digest,
    size: store.blobs.size(digest) ?? 0,
  });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaType.ociManifest,
    config: of(config, mediaType.ociConfig),
    layers: [of(layer, mediaType.ociLayerGzip)],
  });
  const digest = await store.blobs.putBytes(Buffer.from(manifest));
  store.state.putLayer({ diffId, digest: layer, mediaType: mediaType.ociLayerGzip, size: 1 });
  await store.images.tag(of(digest, mediaType.ociManifest), name);
  return digest;
}

const prune = (store: Store, request: PruneRequest = {}, wait = 2000): Promise<Pruned> =>
  pruneStore(store, request, { now: Date.now(), wait });
const hasLayer = (diffId: Digest): boolean => existsSync(join(root, 'layers', diffId.slice(7)));
const ids = (pruned: Pruned): string[] => pruned.removed.map(({ description }) => description).toSorted();

/** Of a store that was closed after it was filled, as a command of its own would meet it. */
async function filled(fill: (store: Store) => Promise<void> | void): Promise<Store> {
  const store = await openStore(root);
  await fill(store);
  await store.close();
  return openStore(root);
}

describe('what takes the disk', () => {
  test('every block of the store belongs to one record: the sum is what du says (KM-4)', async () => {
    await using store = await filled(async (open) => {
      await addImage(open, 'app', addLayer(open, 'RUN a', { size: 500_000 }));
      addLayer(open, 'RUN b', { size: 3 });
      mkdirSync(join(root, 'cache-mounts/m/data/deep'), { recursive: true });
      writeFileSync(join(root, 'cache-mounts/m/data/deep/f'), Buffer.alloc(70_000));
      linkSync(join(root, 'cache-mounts/m/data/deep/f'), join(root, 'cache-mounts/m/data/g'));
      writeFileSync(join(root, 'cache-mounts/m/data/sparse'), '');
      truncateSync(join(root, 'cache-mounts/m/data/sparse'), 50e9);
      mkdirSync(join(root, 'http'));
      writeFileSync(join(root, 'http/part-1'), 'x');
      writeFileSync(join(root, 'unknown'), 'x');
    });
    // The first look keeps what it has measured, which makes the index larger.
    const first = await surveyStore(root, store.state);
    const { bytes, items } = await surveyStore(root, store.state);
    const du = Number(
      execFileSync('du', ['-s', '--block-size=1', root], { encoding: 'utf8' }).split('\t')[0],
    );
    expect(Math.abs(bytes - du) / du).toBeLessThan(0.02);
    const trees = (all: typeof items) =>
      all.filter(({ type }) => type === 'regular').map((item) => item.bytes);
    expect(trees(items)).toEqual(trees(first.items));
    expect(items.find(({ type }) => type === 'exec.cachemount')).toMatchObject({
      mutable: true,
      inUse: false,
    });
  });

  test('a tree that is deeper than a name can say is measured whole', async () => {
    const script =
      'for (let i = 0; i < 300; i++) { fs.mkdirSync("d".repeat(100)); process.chdir("d".repeat(100)); }';
    execFileSync(process.execPath, ['-e', `${script} fs.writeFileSync("f", "x".repeat(9000))`], {
      cwd: temp.path,
    });
    expect((await treeUsage(temp.path)).files).toBe(302);
    // Directories that stood for a long way are closed again.
    const open = readdirSync('/proc/self/fd').map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return '';
      }
    });
    expect(open.filter((path) => path.startsWith(temp.path))).toEqual([]);
  });

  test('links are counted, not followed', async () => {
    writeFileSync(join(temp.path, 'outside'), Buffer.alloc(1e6));
    mkdirSync(join(temp.path, 'tree'));
    symlinkSync('../outside', join(temp.path, 'tree/link'));
    symlinkSync('..', join(temp.path, 'tree/up'));
    expect((await treeUsage(join(temp.path, 'tree'))).bytes).toBeLessThan(20_000);
  });
});

describe('prune', () => {
  test('takes what no image is made of; with all, everything but the images themselves', async () => {
    let kept = digestOf('');
    let image = digestOf('');
    let other = digestOf('');
    await using store = await filled(async (open) => {
      kept = addLayer(open, 'RUN kept');
      image = await addImage(open, 'app', kept);
      other = addLayer(open, 'RUN other', { below: [kept] });
    });
    expect(ids(await prune(store))).toEqual(['RUN other']);
    expect([hasLayer(kept), hasLayer(other)]).toEqual([true, false]);
    expect(store.state.cacheRecord(digestOf('key RUN kept'))).toBeDefined();
    expect(store.state.cacheRecord(digestOf('key RUN other'))).toBeUndefined();
    const { removed, freed, left } = await prune(store, { all: true });
    expect(removed.map(({ description }) => description)).toEqual(['RUN kept']);
    expect(freed).toBeGreaterThan(100_000);
    expect(left).toBeLessThan(400_000);
    expect(hasLayer(kept)).toBe(false);
    for (const digest of [image, digestOf(`blob of ${kept}`), digestOf('{"name":"app"}')])
      expect(store.blobs.has(digest)).toBe(true);
  });

  test('what it says it would take is what it takes, and a dry run takes nothing', async () => {
    await using store = await filled((open) => void addLayer(open, 'RUN x'));
    const dry = await prune(store, { dryRun: true });
    expect(hasLayer(digestOf('RUN x'))).toBe(true);
    expect((await prune(store)).removed).toEqual(dry.removed);
  });

  test('the longest unused goes first, until the store takes what it may; never below the reserve', async () => {
    await using store = await filled((open) => {
      for (const hours of [1, 2, 3, 4]) addLayer(open, `RUN ${hours}`, { hours, size: 4e6 });
    });
    const now = Date.now();
    // Records were all made now: only the trees are old, so the order is that of their making.
    const total = (await surveyStore(root, store.state)).bytes;
    expect((await prune(store, { maxUsedSpace: total + 2e6 })).removed).toEqual([]);
    expect((await prune(store, { maxUsedSpace: 0, reservedSpace: total + 2e6 })).removed).toEqual([]);
    expect((await prune(store, { minFreeSpace: 1 })).removed).toEqual([]);
    const { removed, left } = await prune(store, { maxUsedSpace: total - 6e6 });
    expect(removed).toHaveLength(2);
    expect(left).toBeLessThanOrEqual(total - 6e6);
    expect(removed.every(({ lastUsedAt }) => lastUsedAt <= now)).toBe(true);
  });

  test('what a running build has looked up, made or relied on stays', async () => {
    await using store = await filled((open) => {
      for (const name of ['RUN found', 'RUN tree', 'RUN idle']) addLayer(open, name);
    });
    await using build = await openStore(root);
    const record = build.state.cacheRecord(digestOf('key RUN found'));
    if (record !== undefined) build.state.used(record);
    // A build may look up for long before it makes anything.
    await sleep(20);
    await build.tempDir();
    expect(build.keep(join(root, 'layers', digestOf('RUN tree').slice(7)))).toBe(true);
    const fresh = await build.blobs.putBytes(Buffer.from('fresh'));
    expect(ids(await prune(store, { all: true }))).toEqual(['RUN idle']);
    expect(build.blobs.has(fresh)).toBe(true);
    // What has gone is a miss for the build, also when it found it before.
    expect(build.keep(join(root, 'layers', digestOf('RUN idle').slice(7)))).toBe(false);
    const late = { ...record, key: digestOf('key RUN idle') } as typeof record;
    expect(late !== undefined && build.state.used(late)).toBe(false);
  });

  test('while a command only reads, nothing goes, and it is told', async () => {
    await using store = await filled((open) => void addLayer(open, 'RUN x'));
    const reader = await openStore(root);
    await expect(prune(store, {}, 50)).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(hasLayer(digestOf('RUN x'))).toBe(true);
    await reader.close();
    expect(ids(await prune(store))).toEqual(['RUN x']);
  });

  test('a cache mount that a step holds stays; then it goes', async () => {
    await using store = await filled(() => {
      mkdirSync(join(root, 'cache-mounts/m/data'), { recursive: true });
      writeFileSync(join(root, 'cache-mounts/m/id'), 'npm\n');
    });
    const lock = tryLockFile(join(root, 'cache-mounts/m/lock'));
    expect(ids(await prune(store, { filters: ['type=exec.cachemount'] }))).toEqual([]);
    lock?.release();
    age(join(root, 'cache-mounts/m/lock'), 1);
    age(join(root, 'cache-mounts/m'), 1);
    expect(ids(await prune(store, { filters: ['type=exec.cachemount'] }))).toEqual(['cache mount npm']);
    expect(existsSync(join(root, 'cache-mounts/m'))).toBe(false);
  });

  test('links in the store lead it nowhere: neither folders, nor what is in them', async () => {
    const outside = join(temp.path, 'outside');
    mkdirSync(join(outside, digestOf('x').slice(7)), { recursive: true });
    writeFileSync(join(outside, digestOf('x').slice(7), 'precious'), 'x');
    await using store = await filled((open) => {
      mkdirSync(join(root, 'layers'));
      symlinkSync(outside, join(root, 'layers', digestOf('y').slice(7)));
      symlinkSync(outside, join(root, 'http'));
      symlinkSync(outside, join(root, 'snapshots'));
      mkdirSync(join(root, 'cache-mounts/m/data'), { recursive: true });
      symlinkSync(outside, join(root, 'cache-mounts/m/data/out'));
      symlinkSync(outside, join(root, 'cache-mounts/m/lock'));
      symlinkSync(outside, join(open.root, 'tmp'));
    });
    await prune(store, { all: true }).catch(() => undefined);
    await store.close();
    expect(readFileSync(join(outside, digestOf('x').slice(7), 'precious'), 'utf8')).toBe('x');
    expect(statSync(outside).isDirectory()).toBe(true);
  });

  test('a record of a base image goes with the blobs that it names, and only then', async () => {
    let manifest = digestOf('');
    await using store = await filled(async (open) => {
      const config = await open.blobs.putBytes(Buffer.from('{}'));
      const text = { mediaType: mediaType.ociManifest, config: { digest: config }, layers: [] };
      manifest = await open.blobs.putBytes(Buffer.from(JSON.stringify(text)));
      for (const digest of [config, manifest]) age(open.blobs.path(digest), 1);
      const key = digestOf('resolve');
      const result = { mediaType: mediaType.ociManifest, digest: manifest, size: 1 };
      open.state.putCacheRecord({ key, opKey: key, inputs: [], kind: 'base', name: 'debian', result });
    });
    expect((await prune(store, { filters: ['id=nothing'] })).removed).toEqual([]);
    expect(store.state.cacheRecord(digestOf('resolve'))).toBeDefined();
    expect(ids(await prune(store))).toEqual(['about debian', 'about debian']);
    expect(store.blobs.has(manifest)).toBe(false);
    expect(store.state.cacheRecord(digestOf('resolve'))).toBeUndefined();
  });
});

describe('filters (KM-3)', () => {
  const record: UsageRecord = {
    type: 'regular',
    ...{ id: 'abcdef', description: 'RUN npm ci', parents: ['p1'], bytes: 1 },
    ...{
      createdAt: 0,
      lastUsedAt: 0,
      uses: 1,
      inUse: false,
      shared: true,
      mutable: false,
      reclaimable: true,
    },
  };
  const matches = (text: string): boolean => parsePruneFilter(text)(record, 24 * hour);

  test.each([
    ['until=24h', true],
    ['until=25h', false],
    ['until=1d', true],
    ['id=abcdef', true],
    ['id=abcd', true],
    ['id=abc', false],
    ['id!=abcdef', false],
    ['id~=^ab.*f$', true],
    ['type=regular,shared', true],
    ['type=regular,private', false],
    ['description~=npm', true],
    ['parents=p1', true],
    ['parents!=p1', false],
    ['inuse', false],
    ['inuse=false', true],
    ['inuse!=true', true],
    ['mutable', false],
    ['immutable=1', true],
  ])('%s is %s', (text, wanted) => expect(matches(text)).toBe(wanted));

  test.each(['', 'size=1', 'until=x', 'until!=1h', 'id', 'id~=(', 'inuse=perhaps', 'inuse~=x', 'until=1'])(
    'what is not understood is told: %j',
    (text) =>
      expect(() => parsePruneFilter(text)).toThrow(expect.objectContaining({ code: 'USAGE' }) as Error),
  );

  test('durations add up', () => expect(parseAge('1h30m')).toBe(1.5 * hour));
});
