import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkStore, copyImage, createIndex, pullImage } from '../../src/index.ts';
import { copyParts } from '../../src/image/copy-documents.ts';
import { rawDocument } from '../../src/image/documents.ts';
import type { RawDocument } from '../../src/image/documents.ts';
import { layoutTarget } from '../../src/image/layout-directory.ts';
import { writeLayout } from '../../src/image/oci-layout.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { Manifest } from '../../src/oci/manifest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import { streamOf } from '../../src/util/streams.ts';
import { startHttpServer } from '../support/http-server.ts';
import { failure, makeImage } from '../support/registry-client.ts';
import { tempFolder } from '../support/temp.ts';

const invalid = expect.objectContaining({ code: 'IMAGE_INVALID' });

/** A document as a registry has it. */
function documentOf(value: object, type: string = mediaType.ociManifest): RawDocument {
  const bytes = Buffer.from(JSON.stringify(value));
  return rawDocument(bytes, { mediaType: type, digest: digestOf(bytes), size: bytes.length });
}
const indexOf = (manifests: readonly Descriptor[]): RawDocument =>
  documentOf({ schemaVersion: 2, mediaType: mediaType.ociIndex, manifests }, mediaType.ociIndex);

async function startRegistry(): Promise<{
  readonly manifest: Manifest;
  readonly images: Map<string, RawDocument>;
  readonly server: Awaited<ReturnType<typeof startHttpServer>>;
}> {
  const image = await makeImage(['x']);
  const manifest = await image.manifest();
  const blobs = new Map<string, Uint8Array>([[manifest.config.digest, await image.rawConfig()]]);
  for (const [at, layer] of (await image.layers()).entries()) {
    const parts: Uint8Array[] = [];
    for await (const chunk of layer.compressed()) parts.push(chunk);
    blobs.set(manifest.layers[at]?.digest ?? '', Buffer.concat(parts));
  }
  const images = new Map<string, RawDocument>();
  const server = await startHttpServer((request, response) => {
    const name = request.url?.split('/').at(-1) ?? '';
    const known = images.get(name);
    const type = known?.descriptor.mediaType ?? 'application/octet-stream';
    const body = known?.bytes ?? blobs.get(name) ?? (request.url === '/v2/' ? Buffer.alloc(0) : undefined);
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': type }).end(body);
  });
  return { manifest, images, server };
}

test('an image that calls a blob of the store by another size is not kept', async () => {
  await using folder = await tempFolder('sizes');
  const { manifest, images, server } = await startRegistry();
  await using _ = server;
  const lie = (size: number): Manifest => ({
    ...manifest,
    layers: manifest.layers.map((layer) => ({ ...layer, size })),
  });
  images.set('good', documentOf(manifest));
  images.set('less', documentOf(lie(5)));
  images.set('more', documentOf(lie(Number.MAX_SAFE_INTEGER)));
  const common = { root: join(folder.path, 'store'), env: { HOME: folder.path } };
  await pullImage({ ...common, image: `${server.host}/a/b:good` });
  for (const tag of ['less', 'more']) {
    const name = `${server.host}/a/b:${tag}`;
    expect(await failure(pullImage({ ...common, image: name }))).toEqual(invalid);
    expect(await failure(copyImage({ ...common, source: name, destination: 'store:copied' }))).toEqual(
      invalid,
    );
  }
  expect((await checkStore(common)).problems).toEqual([]);
});

test('what names one blob with two sizes, or an image with another size than it has, is not copied', async () => {
  await using folder = await tempFolder('sizes');
  const { manifest, images, server } = await startRegistry();
  await using _ = server;
  const [layer] = manifest.layers;
  if (layer === undefined) throw new Error('no layer');
  const good = documentOf(manifest);
  images.set('twice', documentOf({ ...manifest, layers: [{ ...layer, size: 5 }, layer] }));
  images.set(good.descriptor.digest, good);
  images.set('index', indexOf([{ ...good.descriptor, size: 5 }]));
  const common = { root: join(folder.path, 'store'), env: { HOME: folder.path } };
  for (const tag of ['twice', 'index']) {
    const copied = copyImage({
      ...common,
      source: `${server.host}/a/b:${tag}`,
      destination: `oci:${join(folder.path, 'out')}`,
    });
    expect(await failure(copied)).toEqual(invalid);
  }
});

test('a layout that calls its blob by another size is not copied', async () => {
  await using folder = await tempFolder('sizes');
  const layout = join(folder.path, 'layout');
  const image = await makeImage(['x']);
  const manifest = await image.manifest();
  const lie = { ...manifest, layers: manifest.layers.map((layer) => ({ ...layer, size: layer.size + 1 })) };
  await writeLayout(layout, [{ image, names: [] }]);
  const raw = documentOf(lie);
  await writeFile(join(layout, 'blobs/sha256', raw.descriptor.digest.slice(7)), raw.bytes);
  await writeFile(join(layout, 'index.json'), indexOf([raw.descriptor]).bytes);
  const destination = `oci:${join(folder.path, 'out')}`;
  const common = { root: join(folder.path, 'store'), env: { HOME: folder.path } };
  expect(await failure(copyImage({ ...common, source: `oci:${layout}`, destination }))).toEqual(invalid);
});

test('an index whose manifests together are larger than memory should hold is not copied', async () => {
  await using folder = await tempFolder('sizes');
  const manifest = await (await makeImage(['x'])).manifest();
  const annotations = { a: 'x'.repeat(1_000_000), b: 'y'.repeat(1_000_000), c: 'z'.repeat(1_000_000) };
  const members = Array.from({ length: 30 }, (_, number) =>
    documentOf({ ...manifest, annotations: { ...annotations, number: String(number) } }),
  );
  let read = 0;
  const source = {
    name: 'the test',
    top: () => Promise.reject(new Error('not asked for')),
    document: ({ digest }: Descriptor) => {
      read += 1;
      const found = members.find(({ descriptor }) => descriptor.digest === digest);
      return found === undefined ? Promise.reject(new Error('absent')) : Promise.resolve(found);
    },
    blob: () => streamOf(),
  };
  const top = indexOf(members.map(({ descriptor }) => descriptor));
  const out = join(folder.path, 'out');
  const target = layoutTarget(out, undefined, AbortSignal.timeout(60_000));
  expect(await failure(copyParts(source, target, top, { id: 'test' }))).toEqual(invalid);
  expect(read).toBeLessThan(30);
  expect(await readdir(folder.path)).toEqual([]);
});

test('nor are such manifests gathered in a new index', async () => {
  await using folder = await tempFolder('sizes');
  const { manifest, images, server } = await startRegistry();
  await using _ = server;
  const long = 'x'.repeat(1_000_000);
  for (let number = 0; number < 30; number += 1) {
    const annotations = { a: long, b: long, c: long, number: String(number) };
    const member = documentOf({ ...manifest, annotations });
    images.set(member.descriptor.digest, member);
  }
  images.set('index', indexOf([...images.values()].map(({ descriptor }) => descriptor)));
  const made = createIndex({
    root: join(folder.path, 'store'),
    env: { HOME: folder.path },
    sources: [`${server.host}/a/b:index`],
    names: [],
    dryRun: true,
  });
  expect(await failure(made)).toEqual(invalid);
});
