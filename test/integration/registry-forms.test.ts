import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CommonOptions } from '../../src/index.ts';
import { build, copyImage, inspectManifest, pullImage } from '../../src/index.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { Manifest } from '../../src/oci/manifest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { resolveImage } from '../../src/registry/pull.ts';
import { pushImage } from '../../src/registry/push.ts';
import { readAll, streamOf } from '../../src/util/streams.ts';
import type { CommandResult } from '../support/cli.ts';
import { command, must } from '../support/cli.ts';
import { amd64, makeImage, testClient } from '../support/registry-client.ts';
import type { RegistryServer } from '../support/registry-server.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

const texts = ['one '.repeat(50_000), 'two '.repeat(50_000)];
const toc = 'containerd.io/snapshot/stargz/toc.digest';

const needs = [tool('docker-registry'), tool('podman'), tool('buildah'), 'root'] as const;

suite('forms of images that other tools push', needs, () => {
  const stack = new AsyncDisposableStack();
  let server: RegistryServer;
  let other: RegistryServer;
  let folder: string;
  let original: string;

  beforeAll(async () => {
    server = stack.use(await startRegistry());
    other = stack.use(await startRegistry());
    folder = stack.use(await tempFolder('forms')).path;
    original = `${server.host}/ours:1`;
    await using http = testClient();
    await pushImage(http, { images: [await makeImage(texts)], reference: parseReference(original) });
    for (const program of ['podman', 'buildah'] as const)
      await must(engine(program, ['pull', '-q', '--tls-verify=false', original]));
  });
  afterAll(async () => {
    await engine('podman', ['rmi', '--all', '--force']);
    await stack.disposeAsync();
  });

  const engine = (program: 'podman' | 'buildah', args: readonly string[]): Promise<CommandResult> => {
    const storage = ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run')];
    return command(program, [...storage, '--storage-driver', 'vfs', ...args]);
  };

  let stores = 0;
  const fresh = (): CommonOptions => ({
    ...{ root: join(folder, `store-${(stores += 1)}`), env: { HOME: folder } },
    registryFiles: false,
  });

  const elsewhere = (name: string): string => `${other.host}/${name.slice(name.indexOf('/') + 1)}`;

  /** What a tool has pushed under a name, as it says itself. */
  async function pushedBy(
    program: 'podman' | 'buildah',
    name: string,
    flags: readonly string[],
  ): Promise<string> {
    const file = join(folder, 'digest');
    const to = program === 'podman' ? name : `docker://${name}`;
    await must(
      engine(program, ['push', '-q', '--tls-verify=false', '--digestfile', file, ...flags, original, to]),
    );
    return readFile(file, 'utf8');
  }

  /** It is pulled, copied and built upon; digests, types and annotations stay, and the layers hold what they held. */
  async function expectUntouched(name: string, digest: string): Promise<Manifest> {
    const source = (await inspectManifest({ ...fresh(), image: name })).document as Manifest;
    expect((await pullImage({ ...fresh(), image: name })).digest).toBe(digest);
    for (const destination of [elsewhere(name), `oci:${folder}/${digest.slice(7, 19)}`]) {
      expect((await copyImage({ ...fresh(), source: name, destination })).digest).toBe(digest);
      const copied = await inspectManifest({ ...fresh(), image: destination });
      expect(copied.document).toEqual(source);
    }
    await using http = testClient();
    const wanted = await makeImage(texts);
    const found = await resolveImage(http, parseReference(elsewhere(name)), amd64);
    const own = await wanted.layers();
    for (const [at, layer] of (await found.image.layers()).entries())
      expect(await layer.diffId()).toBe(await own[at]?.diffId());
    const context = join(folder, `on-${stores}`);
    await mkdir(context);
    await writeFile(join(context, 'Dockerfile'), `FROM ${name}\nCOPY --from=${name} /file-1 /again\n`);
    const tag = `${other.host}/built:${digest.slice(7, 19)}`;
    await build({ ...fresh(), context, tags: [tag], outputs: [{ type: 'registry' }] });
    const built = (await inspectManifest({ ...fresh(), image: tag })).document as Manifest;
    expect(built.layers.slice(0, 2).map((layer) => layer.digest)).toEqual(
      source.layers.map((layer) => layer.digest),
    );
    expect(built.layers).toHaveLength(3);
    return source;
  }

  test.each(['podman', 'buildah'] as const)('R-MT-1: Docker’s manifest of %s', async (program) => {
    const name = `${server.host}/v2s2/${program}:1`;
    const digest = await pushedBy(program, name, ['--format', 'v2s2']);
    const manifest = await expectUntouched(name, digest);
    expect(manifest.mediaType).toBe(mediaType.dockerManifest);
    expect(manifest.layers.map((layer) => layer.mediaType)).toEqual(Array(2).fill(mediaType.dockerLayerGzip));
  });

  test.each(['zstd', 'zstd:chunked'])('R-PULL-3, R-MT-1: %s of podman', async (format) => {
    // Where the blobs are already in another form, podman takes those.
    await using empty = await startRegistry();
    const name = `${empty.host}/${format.replace(':', '-')}/podman:1`;
    const digest = await pushedBy('podman', name, ['--format', 'oci', '--compression-format', format]);
    const manifest = await expectUntouched(name, digest);
    expect(manifest.layers.map((layer) => layer.mediaType)).toEqual(Array(2).fill(mediaType.ociLayerZstd));
    const chunked = manifest.layers.filter((layer) =>
      Object.keys(layer.annotations ?? {}).some((key) => key.includes('zstd-chunked')),
    );
    expect(chunked).toHaveLength(format === 'zstd' ? 0 : 2);
  });

  test('R-PULL-3, R-MT-1: estargz: gzip in members, with the digest of its table in an annotation', async () => {
    const image = await makeImage(texts);
    const manifest = await image.manifest();
    await using http = testClient();
    const name = `${server.host}/estargz:1`;
    const to = parseReference(name);
    const upload = async (bytes: Uint8Array): Promise<Pick<Descriptor, 'digest' | 'size'>> => {
      const blob = { digest: digestOf(bytes), size: bytes.length };
      await http.uploadBlob(to, { ...blob, open: () => streamOf(bytes) });
      return blob;
    };
    await upload(await image.rawConfig());
    const layers: Descriptor[] = [];
    for (const layer of await image.layers()) {
      const tar = await readAll(layer.uncompressed(), 1_000_000);
      const members = [0, 512, 1024].map((start, at, all) => gzipSync(tar.subarray(start, all[at + 1])));
      const blob = await upload(Buffer.concat(members));
      layers.push({
        mediaType: mediaType.ociLayerGzip,
        ...blob,
        annotations: { [toc]: digestOf('its table') },
      });
    }
    const bytes = Buffer.from(JSON.stringify({ ...manifest, layers }));
    await http.putManifest(to, '1', { mediaType: mediaType.ociManifest, bytes });
    const found = await expectUntouched(name, digestOf(bytes));
    expect(found.layers.map((layer) => layer.annotations?.[toc])).toEqual(
      Array(2).fill(digestOf('its table')),
    );
  });

  test('R-MT-1: layers of a type that nobody knows are copied as they are, and cannot be built upon', async () => {
    const image = await makeImage(['x']);
    const manifest = await image.manifest();
    await using http = testClient();
    const name = `${server.host}/odd:1`;
    const to = parseReference(name);
    const odd = Buffer.from('not a tar at all');
    const layers = [{ mediaType: 'application/vnd.example.layer', digest: digestOf(odd), size: odd.length }];
    for (const content of [odd, await image.rawConfig()]) {
      const blob = { digest: digestOf(content), size: content.length };
      await http.uploadBlob(to, { ...blob, open: () => streamOf(content) });
    }
    const bytes = Buffer.from(JSON.stringify({ ...manifest, layers }));
    await http.putManifest(to, '1', { mediaType: mediaType.ociManifest, bytes });
    const destination = elsewhere(name);
    expect((await copyImage({ ...fresh(), source: name, destination })).digest).toBe(digestOf(bytes));
    expect(await http.blobExists(parseReference(destination), digestOf(odd))).toBe(true);
    const context = join(folder, 'odd');
    await mkdir(context);
    await writeFile(join(context, 'Dockerfile'), `FROM ${name}\nCOPY --from=${name} /file-0 /again\n`);
    await expect(build({ ...fresh(), context })).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
  });
});
