import { execFileSync } from 'node:child_process';
import { createReadStream, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CommonOptions, ProgressEvent } from '../../src/index.ts';
import {
  build,
  copyImage,
  inspectImage,
  listImages,
  loadImage,
  pushImage,
  removeImage,
  run,
  tagImage,
} from '../../src/index.ts';
import { writeLayout } from '../../src/image/oci-layout.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import { openStore } from '../../src/store/store.ts';
import { failure, makeImage } from '../support/registry-client.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';

let folder: TempFolder;
let options: CommonOptions & { readonly root: string };
let told: string[];

beforeEach(async () => {
  folder = await tempFolder('images');
  told = [];
  options = {
    root: join(folder.path, 'store'),
    env: { HOME: folder.path },
    onEvent(event: ProgressEvent) {
      if (event.type === 'diagnostic') told.push(`${event.diagnostic.rule}: ${event.diagnostic.message}`);
    },
  };
  const layout = join(folder.path, 'layout');
  await writeLayout(layout, [{ image: await makeImage(['x']), names: [] }]);
  await copyImage({ ...options, source: `oci:${layout}`, destination: 'store:app' });
  told = [];
});
afterEach(() => folder[Symbol.asyncDispose]());

/** Puts a manifest with this config into the store, as other programs may. */
async function put(name: string, configType: string, more: object = {}): Promise<Descriptor> {
  await using store = await openStore(options.root);
  const blob = async (type: string, value: unknown): Promise<Descriptor> => {
    const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
    return { mediaType: type, digest: await store.blobs.putBytes(bytes), size: bytes.length };
  };
  const config = await blob(configType, '{}');
  const descriptor = await blob(mediaType.ociManifest, { schemaVersion: 2, config, layers: [], ...more });
  await store.images.tag(descriptor, name);
  return descriptor;
}

test('what is no image, and what cannot be read, is told and leaves the others listed', async () => {
  await put('artifact', mediaType.ociEmpty, { artifactType: 'application/vnd.example.sbom' });
  await put('broken', mediaType.ociConfig);
  const lost = await put('lost', mediaType.ociConfig, { annotations: { of: 'another' } });
  rmSync(join(options.root, 'blobs/sha256', lost.digest.slice(7)));
  expect((await listImages(options)).map(({ name }) => name)).toEqual(['docker.io/library/app:latest']);
  expect(told.toSorted()).toEqual([
    expect.stringMatching(
      /^ImageUnreadable: `docker.io\/library\/broken:latest` cannot be listed: .*not well formed/,
    ),
    expect.stringMatching(/^ImageUnreadable: `docker.io\/library\/lost:latest` cannot be listed: /),
    'NoImage: `docker.io/library/artifact:latest` is no image but an artifact: application/vnd.example.sbom',
  ]);
  // None of them is in the way of a short id, and each can be removed.
  const [app] = await listImages(options);
  const shortId = app?.imageId.slice(7, 19) ?? '';
  expect((await inspectImage({ ...options, image: shortId })).names).toEqual([
    'docker.io/library/app:latest',
  ]);
  await removeImage({ ...options, image: lost.digest });
  for (const image of ['broken', 'artifact']) await removeImage({ ...options, image });
  told = [];
  expect(await listImages(options)).toHaveLength(1);
  expect(told).toEqual([]);
});

test('no image gets a name that is pinned to another one', async () => {
  const [app] = await listImages(options);
  const own = `x@${app?.digest ?? ''}`;
  const other = `x@sha256:${'a'.repeat(64)}`;
  const refused = { code: 'REFERENCE_INVALID', message: expect.stringContaining(`\`${other}\``) as string };
  expect(await failure(tagImage({ ...options, image: 'app', name: other }))).toMatchObject(refused);
  const copied = copyImage({ ...options, source: 'store:app', destination: `store:${other}` });
  expect(await failure(copied)).toMatchObject({ code: 'REFERENCE_INVALID' });
  const context = join(folder.path, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\n');
  expect(await failure(build({ ...options, context, tags: [other] }))).toMatchObject(refused);
  const outputs = [{ type: 'image' as const, names: [other] }];
  expect(await failure(build({ ...options, context, outputs }))).toMatchObject(refused);
  // An archive of others may say what it likes.
  const layout = join(folder.path, 'forged');
  await writeLayout(layout, [{ image: await makeImage(['x']), names: [other, own, 'forged:1'] }]);
  const archive = join(folder.path, 'forged.tar');
  execFileSync('tar', ['-C', layout, '-cf', archive, '.']);
  await loadImage({ ...options, stream: createReadStream(archive) });
  await tagImage({ ...options, image: 'app', name: own });
  const names = (await listImages(options)).map(({ name }) => name ?? '');
  expect(new Set(names)).toEqual(
    new Set(['docker.io/library/app:latest', 'docker.io/library/forged:1', `docker.io/library/${own}`]),
  );
});

test.each(['garbage', '[]', '{"manifests":[{"digest":"x"}]}'])(
  'an index.json of %s names what repairs it',
  async (text) => {
    writeFileSync(join(options.root, 'index.json'), text);
    expect(await failure(listImages(options))).toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining('index.json is damaged: ') as string,
      hint: expect.stringContaining('`tsbuild store check --repair` makes it anew') as string,
    });
  },
);

test('an image that is not there: what has its name, and how it is pushed under another', async () => {
  expect(await failure(inspectImage({ ...options, image: 'app:9' }))).toMatchObject({
    code: 'IMAGE_NOT_FOUND',
    hint: 'of this name it has the tag latest',
  });
  expect(await failure(inspectImage({ ...options, image: 'other' }))).toMatchObject({
    hint: expect.stringContaining('`tsbuild images` lists'),
  });
  const image = 'localhost:1/app:1';
  expect(await failure(pushImage({ ...options, image }))).toMatchObject({
    code: 'IMAGE_NOT_FOUND',
    hint: expect.stringContaining('`tsbuild push IMAGE localhost:1/app:1`'),
  });
  expect(await failure(run({ ...options, image }))).toMatchObject({
    code: 'REGISTRY_UNREACHABLE',
    message: expect.stringMatching(
      /^the store has no image `localhost:1\/app:1`; as one of a registry: cannot/,
    ),
    hint: expect.stringContaining('`tsbuild images` lists what is there'),
  });
});

test('places that are none: the kinds there are', async () => {
  for (const destination of ['dir:/tmp/x', './out.tar', 'oci-archve:/x'])
    expect(await failure(copyImage({ ...options, source: 'store:app', destination }))).toMatchObject({
      code: 'REFERENCE_INVALID',
      hint: expect.stringContaining('oci-archive:FILE[:TAG]'),
    });
  expect(await failure(copyImage({ ...options, source: 'App', destination: 'x' }))).toMatchObject({
    hint: expect.not.stringContaining('oci-archive'),
  });
});
