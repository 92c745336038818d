import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { applyEntries } from '../../src/image/apply.ts';
import { checkLayer } from '../../src/image/check-layer.ts';
import type { StoredLayer } from '../../src/image/layer-store.ts';
import { createLayerStore } from '../../src/image/layer-store.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import type { StoreCheck } from '../../src/store/check.ts';
import { checkStore } from '../../src/store/check.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/store.ts';
import type { TempDir } from '../../src/util/temp-dir.ts';
import { makeTempDir } from '../../src/util/temp-dir.ts';
import { dir, file, hardlink, streamOfEntries, symlink } from '../image/entries.ts';

let temp: TempDir;
let root: string;
let store: Store;
let layer: StoredLayer;
let manifest: Digest;

const key = digestOf('key');

/** A store with an image of one layer, and the record of the step that made it. */
beforeEach(async () => {
  temp = await makeTempDir();
  root = join(temp.path, 'store');
  store = await openStore(root);
  const layers = createLayerStore({
    root,
    blobs: store.blobs,
    table: {
      get: (diffId) => store.state.layers(diffId)[0],
      set: (diffId, record) => store.state.putLayer({ diffId, ...record }),
    },
    tempDir: () => store.tempDir(),
  });
  layer = await layers.fromEntries(entries());
  await layer.storeBlob();
  const of = (digest: Digest, type: string) => ({
    mediaType: type,
    digest,
    size: store.blobs.size(digest) ?? 0,
  });
  const config = await store.blobs.putBytes(Buffer.from('{}'));
  const text = {
    schemaVersion: 2,
    mediaType: mediaType.ociManifest,
    config: of(config, mediaType.ociConfig),
    layers: [of(await layer.digest(), mediaType.ociLayerGzip)],
  };
  manifest = await store.blobs.putBytes(Buffer.from(JSON.stringify(text)));
  await store.images.tag(of(manifest, mediaType.ociManifest), 'app');
  const result = [[layer.knownDiffId, '2026-01-01T00:00:00Z']];
  store.state.putCacheRecord({ key, opKey: key, inputs: [], kind: 'copy', name: 'COPY', result });
});
afterEach(async () => {
  await store.close();
  await temp[Symbol.asyncDispose]();
});

async function* entries() {
  const content = Buffer.from('content of a file');
  yield {
    ...{ path: 'file', type: 'file' as const, mode: 0o644, uid: 0, gid: 0, mtime: 0n, size: content.length },
    async *content() {
      yield content;
    },
  };
}

const home = (): string => join(root, 'layers', layer.knownDiffId.slice(7));
const check = (repair = false): Promise<StoreCheck> => checkStore(store, { repair, wait: 2000, checkLayer });
const codes = ({ problems }: StoreCheck): string[] => problems.map(({ code }) => code).toSorted();

function flip(path: string, at = 10): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  rmSync(path);
  writeFileSync(path, bytes);
}

test('a store that is whole is sound', async () => {
  expect(await check()).toEqual({
    problems: [],
    ...{ blobs: 3, bytes: expect.any(Number) as number, layers: 1, records: 1, images: 1 },
  });
});

/** What is broken, and what is said of it; after the repair, nothing is. */
const cases: Readonly<Record<string, readonly [string[], () => void | Promise<void>]>> = {
  'a flipped bit in the blob of a layer': [
    ['BLOB_DAMAGED', 'IMAGE_INCOMPLETE'],
    async () => flip(store.blobs.path(await layer.digest())),
  ],
  'a manifest that is cut short': [
    ['BLOB_DAMAGED', 'IMAGE_INCOMPLETE'],
    () => writeFileSync(store.blobs.path(manifest), '{'),
  ],
  'a config that is lost': [['IMAGE_INCOMPLETE'], () => store.blobs.delete(digestOf('{}'))],
  'a file among the blobs that is none': [
    ['BLOB_NAME'],
    () => writeFileSync(join(root, 'blobs/sha256/notes.txt'), 'x'),
  ],
  'a flipped bit in the tar of a layer': [['LAYER_DAMAGED'], () => flip(join(home(), 'tar'), 600)],
  'a flipped bit in the list of a layer': [['LAYER_DAMAGED'], () => flip(join(home(), 'index.json'), 100)],
  'a layer that is lost in all its forms': [
    ['IMAGE_INCOMPLETE', 'RECORD_DANGLING'],
    async () => {
      await store.blobs.delete(await layer.digest());
      rmSync(home(), { recursive: true });
    },
  ],
  'an index.json that is no JSON': [['LAYOUT_INVALID'], () => writeFileSync(join(root, 'index.json'), 'x')],
  'a folder that is a link': [['LINK'], () => symlinkSync('/etc', join(root, 'http'))],
  'what killed builds left': [
    ['LEFTOVER', 'LEFTOVER', 'LEFTOVER'],
    () => {
      mkdirSync(join(root, 'tmp/1-0123456789ab'), { recursive: true });
      mkdirSync(join(root, 'snapshots/0123456789abcdef'), { recursive: true });
      mkdirSync(join(root, 'leases'), { recursive: true });
      writeFileSync(join(root, 'leases', key.slice(7)), '');
    },
  ],
  'a download that is not what its name says': [
    ['DOWNLOAD_DAMAGED'],
    () => {
      mkdirSync(join(root, 'http'));
      writeFileSync(join(root, 'http', key.slice(7)), 'other');
    },
  ],
};

test.each(Object.entries(cases))('%s', async (_, [wanted, damage]) => {
  await damage();
  await store.close();
  store = await openStore(root);
  const found = await check();
  expect(codes(found)).toEqual(wanted);
  expect(found.problems.every(({ repaired }) => !repaired)).toBe(true);
  const repaired = await check(true);
  expect(repaired.problems.filter((problem) => !problem.repaired)).toEqual([]);
  expect((await check()).problems).toEqual([]);
  expect(existsSync('/etc/passwd')).toBe(true);
});

test('an index.json that is lost is made again from the manifests: names go, images stay', async () => {
  writeFileSync(join(root, 'index.json'), '{}');
  await check(true);
  const list = await store.images.list();
  expect(list.map(({ name, descriptor }) => [name, descriptor.digest])).toEqual([[undefined, manifest]]);
});

test('a damaged index of records is replaced', async () => {
  await store.close();
  const state = join(root, readdirSync(root).find((name) => /^state-v\d+\.1\.db$/.test(name)) ?? '');
  writeFileSync(state, Buffer.concat([readFileSync(state).subarray(0, 4096), Buffer.alloc(40_000, 7)]));
  store = await openStore(root);
  expect(codes(await check())).toContain('INDEX_DAMAGED');
  await check(true);
  expect((await check()).problems).toEqual([]);
});

test('an unpacked layer whose archive replaces what it has said is sound, and a change in it is found', async () => {
  const replaced = [
    ...[dir('a'), file('a/x'), file('a'), dir('a'), file('a/y', 'left')],
    ...[dir('d'), symlink('l', 'd'), file('l/x', 'gone'), file('d'), dir('d')],
    ...[file('f', 'first'), hardlink('h', 'f'), file('f', 'second')],
  ];
  const layers = createLayerStore({
    ...{ root, blobs: store.blobs, table: { get: () => undefined, set: () => {} } },
    tempDir: () => store.tempDir(),
  });
  const { knownDiffId } = await layers.fromEntries(streamOfEntries(...replaced));
  const place = join(root, 'layers', knownDiffId.slice(7));
  mkdirSync(join(place, 'fs'));
  await applyEntries(streamOfEntries(...replaced), join(place, 'fs'), { form: 'overlay', owners: 'ignore' });
  const damage = async (): Promise<unknown[]> => Array.fromAsync(checkLayer(place, knownDiffId));
  expect(await damage()).toEqual([]);
  for (const [path, text] of [
    ['h', 'FIRST'],
    ['a/y', 'more'],
    ['d', 'no directory'],
  ] as const) {
    const whole = join(place, 'fs', path);
    renameSync(whole, join(place, 'kept'));
    writeFileSync(whole, text);
    expect(await damage()).toEqual([{ form: 'fs', message: expect.stringContaining(`/${path}`) as string }]);
    rmSync(whole);
    renameSync(join(place, 'kept'), whole);
  }
});

test('only a directory of records may be locked by a live process: its work is no leftover', async () => {
  await using other = await openStore(root);
  await other.tempDir();
  expect((await check()).problems).toEqual([]);
});
