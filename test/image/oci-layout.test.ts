import { mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { applyEntries } from '../../src/image/apply.ts';
import { dockerArchiveEntries, readImageArchive } from '../../src/image/docker-archive.ts';
import type { Image } from '../../src/image/image.ts';
import { assembleIndex } from '../../src/image/mutate.ts';
import { layoutEntries, openLayoutImage, writeLayout } from '../../src/image/oci-layout.ts';
import { writeTar } from '../../src/image/tar.ts';
import { validateImage } from '../../src/image/validate.ts';
import { digestHex, digestOf } from '../../src/oci/digest.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { readAll, streamOf } from '../../src/util/streams.ts';
import { dir, file, outline, streamOfEntries, whiteout } from './entries.ts';
import { smallImage } from './images.ts';
import type { LocalStore } from './local-store.ts';
import { localStore } from './local-store.ts';

let store: LocalStore;
let directory = '';

beforeEach(() => {
  store = localStore();
  directory = join(store.root, 'layout');
  mkdirSync(directory);
});

afterEach(() => {
  store[Symbol.dispose]();
});

const image = (text = 'hello', architecture = hostPlatform().architecture): Promise<Image> =>
  smallImage(
    store,
    [
      [dir('a'), file('a/f', text)],
      [dir('a'), whiteout('a/f')],
    ],
    { architecture },
  );
const blobPath = (digest: `sha256:${string}`): string =>
  join(directory, 'blobs', 'sha256', digestHex(digest));
const name = 'docker.io/library/app:1';

describe('assembleImage', () => {
  test('equal input gives equal bytes, in the order of the specification', async () => {
    const made = await smallImage(store, [[file('f', 'x')]]);
    expect(Buffer.from(await made.rawConfig()).toString()).toMatchInlineSnapshot(
      `"{"created":"2024-01-02T03:04:05Z","architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"],"Labels":{"a":"1","b":"2"}},"rootfs":{"type":"layers","diff_ids":["sha256:d13c2cf82cbd88f04dd41c0b432d2ee00063f32e75b109b087504dcdcc636041"]},"history":[{"created_by":"step 0"}]}"`,
    );
    expect(await validateImage(made)).toEqual([]);
    expect(Object.keys(await made.manifest())).toEqual(['schemaVersion', 'mediaType', 'config', 'layers']);
  });

  test("uses Docker's media types when asked to", async () => {
    const made = await smallImage(store, [[file('f', 'x')]], { mediaTypes: 'docker' });
    const { config, layers } = await made.manifest();
    expect([(await made.descriptor()).mediaType, config.mediaType, layers[0]?.mediaType]).toEqual([
      'application/vnd.docker.distribution.manifest.v2+json',
      'application/vnd.docker.container.image.v1+json',
      'application/vnd.docker.image.rootfs.diff.tar.gzip',
    ]);
    expect(await validateImage(made)).toEqual([]);
  });
});

describe('an OCI layout', () => {
  test('gives back the image that was written, by name, tag, digest, and as the only one', async () => {
    const made = await image();
    await writeLayout(directory, [{ image: made, names: [name] }]);
    const digest = await made.digest();
    for (const query of [{}, { name }, { name: '1' }, { digest }, { descriptor: await made.descriptor() }]) {
      const read = await openLayoutImage(directory, query);
      expect(await read.digest()).toBe(digest);
      expect(await validateImage(read)).toEqual([]);
    }
    await expect(openLayoutImage(directory, { name: 'other' })).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
    });
  });

  test('keeps other images, and moves names', async () => {
    const [one, two] = [await image('one'), await image('two')];
    await writeLayout(directory, [{ image: one, names: [name] }]);
    await writeLayout(directory, [{ image: two, names: ['docker.io/library/other:2'] }]);
    expect(await (await openLayoutImage(directory, { name })).digest()).toBe(await one.digest());
    await expect(openLayoutImage(directory)).rejects.toThrow('several images');
    await writeLayout(directory, [{ image: two, names: [name] }]);
    expect(await (await openLayoutImage(directory, { name })).digest()).toBe(await two.digest());
    expect(readdirSync(directory).toSorted()).toEqual(['blobs', 'index.json', 'oci-layout']);
  });

  test('chooses the platform, through nested indexes', async () => {
    const [arm, amd] = [await image('arm', 'arm64'), await image('amd', 'amd64')];
    await writeLayout(directory, [
      { image: arm, names: [name] },
      { image: amd, names: [] },
    ]);
    const inner = assembleIndex(
      [
        {
          descriptor: await arm.descriptor(),
          platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
        },
        { descriptor: await amd.descriptor(), platform: { os: 'linux', architecture: 'amd64' } },
      ],
      { mediaTypes: 'oci' },
    );
    const outer = assembleIndex([{ descriptor: inner.descriptor }], { mediaTypes: 'oci' });
    for (const { bytes, descriptor } of [inner, outer]) writeFileSync(blobPath(descriptor.digest), bytes);
    writeFileSync(join(directory, 'index.json'), outer.bytes);
    const platform = { os: 'linux', architecture: 'arm64' };
    expect(await (await openLayoutImage(directory, { platform })).digest()).toBe(await arm.digest());
    const wanted = { os: 'linux', architecture: 's390x' };
    await expect(openLayoutImage(directory, { platform: wanted })).rejects.toMatchObject({
      code: 'IMAGE_PLATFORM',
      hint: 'it has linux/arm64, linux/amd64',
    });
  });

  test('refuses blobs that are missing, changed, or links', async () => {
    const made = await image();
    await writeLayout(directory, [{ image: made, names: [] }]);
    const config = (await made.manifest()).config.digest;
    const bytes = readFileSync(blobPath(config));
    const invalid = { code: 'IMAGE_INVALID' };
    writeFileSync(blobPath(config), Buffer.concat([bytes.subarray(1), Buffer.from(' ')]));
    await expect((await openLayoutImage(directory)).config()).rejects.toMatchObject(invalid);
    rmSync(blobPath(config));
    await expect((await openLayoutImage(directory)).config()).rejects.toMatchObject(invalid);
    writeFileSync(join(store.root, 'config'), bytes);
    symlinkSync(join(store.root, 'config'), blobPath(config));
    await expect((await openLayoutImage(directory)).config()).rejects.toMatchObject(invalid);
  });

  test('refuses an index that names no digest but a path', async () => {
    await writeLayout(directory, [{ image: await image(), names: [] }]);
    const index = readFileSync(join(directory, 'index.json'), 'utf8');
    writeFileSync(
      join(directory, 'index.json'),
      index.replace(/sha256:[a-f0-9]{64}/, 'sha256:../../../../etc/passwd'),
    );
    await expect(openLayoutImage(directory)).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
    writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"2.0.0"}');
    await expect(openLayoutImage(directory)).rejects.toThrow('version');
  });
});

describe('an archive of images', () => {
  test('has sorted files, the same for the same image', async () => {
    const named = [{ image: await image(), names: [name] }];
    const paths = (await outline(dockerArchiveEntries(named))).map((line) => line.split(' ')[1] ?? '');
    expect(paths).toEqual(paths.toSorted());
    expect(paths.filter((path) => !path.startsWith('blobs'))).toEqual([
      'index.json',
      'manifest.json',
      'oci-layout',
    ]);
    const digests = [];
    for (let round = 0; round < 2; round += 1)
      digests.push(digestOf(await readAll(writeTar(dockerArchiveEntries(named)), 1e7)));
    expect(digests[0]).toBe(digests[1]);
  });

  test.each([
    ['docker', dockerArchiveEntries],
    ['oci', layoutEntries],
  ])('of kind %s gives back image and names, compressed as a whole or not', async (_, entries) => {
    const made = await image();
    const bytes = await readAll(writeTar(entries([{ image: made, names: [name] }])), 1e7);
    for (const archive of [bytes, gzipSync(bytes)]) {
      const [read, ...others] = await readImageArchive(streamOf(archive), join(store.root, 'tmp'));
      expect([await read?.image.digest(), read?.names, others]).toEqual([await made.digest(), [name], []]);
      if (read !== undefined) expect(await validateImage(read.image)).toEqual([]);
    }
  });

  test('of docker save in its old form: plain layers, linked to each other; the config stays as it is', async () => {
    const made = await smallImage(store, [[file('f', 'x')], [file('f', 'x')]]);
    const config = Buffer.concat([await made.rawConfig(), Buffer.from(' \n')]);
    const layer = await readAll(
      ((await made.layers())[0] as { uncompressed(): AsyncIterable<Uint8Array> }).uncompressed(),
      1e6,
    );
    const id = digestHex(digestOf(config));
    const manifest = [
      { Config: `${id}.json`, RepoTags: ['app:old'], Layers: ['one/layer.tar', 'two/layer.tar'] },
    ];
    const entries = streamOfEntries(
      { ...file(`${id}.json`), size: config.length, content: () => streamOf(config) },
      { ...file('one/layer.tar'), size: layer.length, content: () => streamOf(layer) },
      { ...file('two/layer.tar'), type: 'symlink', linkTarget: '../one/layer.tar' },
      file('manifest.json', JSON.stringify(manifest)),
    );
    const [read] = await readImageArchive(writeTar(entries), join(store.root, 'tmp'));
    expect(read?.names).toEqual(['docker.io/library/app:old']);
    if (read === undefined) return;
    expect((await read.image.manifest()).config.digest).toBe(digestOf(config));
    expect(await validateImage(read.image)).toEqual([]);
  });

  test('refuses what leads outside, and what is no archive', async () => {
    const temp = join(store.root, 'tmp');
    const invalid = { code: 'IMAGE_INVALID' };
    const archive = (config: string, layer: string): AsyncIterable<Uint8Array> =>
      writeTar(
        streamOfEntries(
          { ...file('l'), type: 'symlink', linkTarget: '/etc/passwd' },
          file('manifest.json', JSON.stringify([{ Config: config, Layers: [layer] }])),
        ),
      );
    for (const path of ['../../../etc/passwd', '/etc/passwd', 'l', 'none']) {
      await expect(readImageArchive(archive(path, path), temp)).rejects.toMatchObject(invalid);
    }
    // Shorter than a header, as long as one, and packed.
    for (const content of ['', 'not a tar', 'x'.repeat(2000), gzipSync('x'.repeat(2000))]) {
      await expect(readImageArchive(streamOf(content), temp)).rejects.toMatchObject({
        ...invalid,
        message: expect.stringMatching(/^this is no archive of images: /),
        hint: expect.stringContaining('`docker save`'),
      });
    }
    await expect(readImageArchive(writeTar(streamOfEntries(file('x'))), temp)).rejects.toMatchObject(invalid);
    const broken = writeTar(streamOfEntries(file('manifest.json', '[{"Config":1}]')));
    await expect(readImageArchive(broken, temp)).rejects.toMatchObject(invalid);
  });
});

describe('validateImage', () => {
  test('tells what is wrong', async () => {
    const made = await smallImage(store, [
      [file('a/f', 'x'), file('a/f', 'y'), { ...file('h'), type: 'hardlink', linkTarget: 'none' }],
    ]);
    expect(await validateImage(made)).toEqual([
      'layer 0 has /a/f before its directory',
      'layer 0 has /a/f twice',
      'layer 0 has /a/f before its directory',
      'layer 0 has a hard link /h to none, which is no earlier file of it',
    ]);
    const config = { ...(await made.config()), history: [] };
    const rawConfig = Buffer.from(JSON.stringify(config));
    const lying: Image = { ...made, rawConfig: async () => rawConfig };
    const problems = await validateImage(lying);
    expect(problems).toContain('0 history entries for 1 layers');
    expect(problems.some((problem) => problem.startsWith('the config does not have the digest'))).toBe(true);
  });
});

test('the entries of a layout can be unpacked as a directory', async () => {
  const made = await image();
  await applyEntries(layoutEntries([{ image: made, names: [] }]), directory, {
    form: 'plain',
    owners: 'ignore',
  });
  expect(await (await openLayoutImage(directory)).digest()).toBe(await made.digest());
});
