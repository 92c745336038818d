import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CommonOptions } from '../../src/index.ts';
import { build, copyImage, inspectManifest, pullImage, pushImage, saveImage } from '../../src/index.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import type { Digest } from '../../src/oci/digest.ts';
import type { Manifest } from '../../src/oci/manifest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { readAll, streamOf } from '../../src/util/streams.ts';
import type { HttpServer } from '../support/http-server.ts';
import { startHttpServer } from '../support/http-server.ts';
import { makeImage, testClient } from '../support/registry-client.ts';
import type { RegistryServer } from '../support/registry-server.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

const families = [
  ['docker', mediaType.dockerLayerForeign],
  ['oci', 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'],
] as const;

suite('layers that live elsewhere', [tool('docker-registry')], () => {
  const stack = new AsyncDisposableStack();
  let own: RegistryServer;
  let other: RegistryServer;
  let elsewhere: HttpServer;
  let folder: string;
  const files = new Map<string, Uint8Array>();

  beforeAll(async () => {
    own = stack.use(await startRegistry({ foreignLayers: true }));
    other = stack.use(await startRegistry({ foreignLayers: true }));
    folder = stack.use(await tempFolder('foreign')).path;
    elsewhere = stack.use(
      await startHttpServer((request, response) => response.end(files.get(request.url ?? '') ?? '')),
    );
  });
  afterAll(() => stack.disposeAsync());

  let stores = 0;
  const fresh = (): CommonOptions => ({
    root: join(folder, `store-${(stores += 1)}`),
    env: { HOME: folder },
    registryFiles: false,
  });

  /** An image whose first layer is on the file server alone. */
  async function pushForeign(name: string, family: 'docker' | 'oci', type: string): Promise<Descriptor> {
    const image = await makeImage(['from elsewhere', name], { mediaTypes: family });
    const manifest = await image.manifest();
    const [first, second] = await image.layers();
    const [foreign, ...others] = manifest.layers;
    if (first === undefined || second === undefined || foreign === undefined) throw new Error('two layers');
    files.set(`/${foreign.digest}`, await readAll(first.compressed(), 1_000_000));
    const layers = [
      { ...foreign, mediaType: type, urls: [`http://${elsewhere.host}/${foreign.digest}`] },
      ...others,
    ];
    const bytes = Buffer.from(JSON.stringify({ ...manifest, layers }));
    await using http = testClient();
    const to = parseReference(name);
    for (const [blob, open] of [
      [manifest.config, async () => image.rawConfig()],
      [others[0], async () => readAll(second.compressed(), 1_000_000)],
    ] as const) {
      const content = await open();
      if (blob !== undefined) await http.uploadBlob(to, { ...blob, open: () => streamOf(content) });
    }
    const { mediaType: top } = await image.descriptor();
    await http.putManifest(to, to.tag ?? '', { mediaType: top, bytes });
    return foreign;
  }

  const has = async (name: string, digest: Digest): Promise<boolean> => {
    await using http = testClient();
    return await http.blobExists(parseReference(name), digest);
  };
  const manifestOf = async (image: string): Promise<Manifest> =>
    (await inspectManifest({ ...fresh(), image })).document as Manifest;

  test.each(families)(
    'R-PULL-4: %s: pulled from its URL, not pushed, unless that is allowed',
    async (family, type) => {
      const name = `${own.host}/${family}/base:1`;
      const { digest } = await pushForeign(name, family, type);
      expect(await has(name, digest)).toBe(false);
      const common = fresh();
      const pulled = await pullImage({ ...common, image: name });
      const archive = join(folder, `${family}.tar`);
      await saveImage({ ...common, images: [name], format: 'oci', file: archive });
      const wanted = { digest: pulled.digest };
      for (const [repository, allowed] of [
        ['kept-out', false],
        ['let-in', true],
      ] as const) {
        const push = { ...common, ...(allowed ? { nondistributableRegistries: [other.host] } : {}) };
        const pushed = `${other.host}/${family}/${repository}-pushed:1`;
        const copied = `${other.host}/${family}/${repository}-copied:1`;
        expect(await pushImage({ ...push, image: name, to: pushed })).toMatchObject(wanted);
        expect(await copyImage({ ...push, source: name, destination: copied })).toMatchObject(wanted);
        for (const place of [pushed, copied]) {
          expect(await has(place, digest)).toBe(allowed);
          expect(await pullImage({ ...fresh(), image: place })).toMatchObject(wanted);
        }
      }
    },
  );

  test.each(families)(
    'R-PULL-4: %s: an image that is built on one says where the layer is, cached or not',
    async (family, type) => {
      const name = `${own.host}/${family}/base:2`;
      const { digest } = await pushForeign(name, family, type);
      const context = join(folder, `context-${family}`);
      await mkdir(context);
      await writeFile(join(context, 'Dockerfile'), `FROM ${name}\nCOPY Dockerfile /mine\n`);
      const common = fresh();
      const made: unknown[] = [];
      for (const number of [1, 2]) {
        const tag = `${other.host}/${family}/built-${number}:1`;
        const { digest: built } = await build({
          ...common,
          context,
          tags: [tag],
          outputs: [{ type: 'image', push: true }],
        });
        made.push(built);
        const [layer] = (await manifestOf(tag)).layers;
        expect(layer).toMatchObject({ digest, urls: [`http://${elsewhere.host}/${digest}`] });
        expect(layer?.mediaType).toBe(families[1][1]);
        expect(await has(tag, digest)).toBe(false);
        expect(await pullImage({ ...fresh(), image: tag })).toMatchObject({ digest: built });
      }
      expect(made[0]).toBe(made[1]);
    },
  );

  test('R-PULL-4: wrong bytes at the URL are found out', async () => {
    const name = `${own.host}/wrong/base:1`;
    const { digest, size } = await pushForeign(name, 'oci', families[1][1]);
    files.set(`/${digest}`, Buffer.alloc(size));
    await expect(pullImage({ ...fresh(), image: name })).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
  });
});
