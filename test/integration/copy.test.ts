import { execFile } from 'node:child_process';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { CommonOptions, CreateIndexOptions, InspectedManifest } from '../../src/index.ts';
import {
  attachArtifact,
  copyImage,
  createIndex,
  deleteManifest,
  imageDigest,
  inspectManifest,
  listReferrers,
  listTags,
  pullImage,
  tagImage,
} from '../../src/index.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { Digest } from '../../src/oci/digest.ts';
import type { Index } from '../../src/oci/manifest.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { pushImage } from '../../src/registry/push.ts';
import type { HttpServer } from '../support/http-server.ts';
import { startHttpServer } from '../support/http-server.ts';
import { amd64, arm64, makeImage, testClient } from '../support/registry-client.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

const run = promisify(execFile);

async function skopeo(...args: string[]): Promise<string> {
  const { stdout } = await run('skopeo', ['--insecure-policy', ...args], { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

const inspect = (place: string): Promise<string> => skopeo('inspect', '--tls-verify=false', '--raw', place);

/** An index of two platforms with a gzip and a zstd layer. */
async function pushTwo(name: string): Promise<Descriptor> {
  await using http = testClient();
  const images = [
    await makeImage(['shared', 'amd'.repeat(50_000)]),
    await makeImage(['shared', 'arm'], { architecture: arm64.architecture, compression: 'zstd' }),
  ];
  return await pushImage(http, { images, reference: parseReference(name) });
}

async function workspace(): Promise<{ path: string; common: CommonOptions } & AsyncDisposable> {
  const folder = await tempFolder('copy');
  const common = { root: join(folder.path, 'store'), env: { HOME: folder.path, PATH: process.env['PATH'] } };
  return { path: folder.path, common, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

/** A proxy in front of a registry, which counts what is asked. */
async function counting(host: string): Promise<HttpServer> {
  return startHttpServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      void forward(request, { host, body }, response);
    });
  });
}

async function forward(
  request: IncomingMessage,
  { host, body }: { readonly host: string; readonly body: Buffer },
  response: ServerResponse,
): Promise<void> {
  const passed = ['content-type', 'accept', 'content-range', 'range'];
  const answer = await fetch(`http://${host}${request.url ?? ''}`, {
    method: request.method ?? 'GET',
    headers: Object.fromEntries(
      Object.entries(request.headers).flatMap(([name, value]) =>
        passed.includes(name) ? [[name, String(value)]] : [],
      ),
    ),
    ...(body.length === 0 ? {} : { body: new Uint8Array(body) }),
    redirect: 'manual',
  });
  const ours = ['connection', 'keep-alive', 'transfer-encoding'];
  const headers = Object.fromEntries([...answer.headers].filter(([name]) => !ours.includes(name)));
  // The registry names itself; what is counted must come back here.
  const { location } = headers;
  if (location !== undefined) headers['location'] = location.replace(host, request.headers.host ?? '');
  response.writeHead(answer.status, headers);
  response.end(Buffer.from(await answer.arrayBuffer()));
}

const needs = [tool('docker-registry'), tool('skopeo')];

suite('copy', needs, () => {
  test('there and back again through every transport, digests as they were', async () => {
    await using server = await startRegistry();
    await using other = await startRegistry();
    await using here = await workspace();
    const { common, path } = here;
    const { digest } = await pushTwo(`${server.host}/team/app:1`);
    const steps = [
      [`${server.host}/team/app:1`, `oci:${path}/layout:one`],
      [`oci:${path}/layout:one`, `oci-archive:${path}/app.tar:two`],
      [`oci-archive:${path}/app.tar:two`, 'store:app:3'],
      ['store:app:3', `docker://${other.host}/deep/er/app:4`],
      [`${other.host}/deep/er/app@${digest}`, `oci:${path}/last`],
    ] as const;
    for (const [source, destination] of steps) {
      expect(await copyImage({ ...common, source, destination })).toMatchObject({ digest });
      expect(await imageDigest({ ...common, image: destination })).toBe(digest);
    }
    // skopeo reads each of them, all platforms.
    for (const place of [`oci:${path}/layout:one`, `oci-archive:${path}/app.tar:two`]) {
      expect(digestOf(await inspect(place))).toBe(digest);
      await skopeo('copy', '--all', '--preserve-digests', place, `oci:${path}/by-skopeo:x`);
    }
    expect(digestOf(await inspect(`docker://${other.host}/deep/er/app:4`))).toBe(digest);
    expect(await listTags({ ...common, repository: `${other.host}/deep/er/app` })).toEqual(['4']);
  });

  test('what skopeo wrote, one platform, and the form of docker save', async () => {
    await using server = await startRegistry();
    await using here = await workspace();
    const { common, path } = here;
    await pushTwo(`${server.host}/app:1`);
    await skopeo(
      'copy',
      '--all',
      '--src-tls-verify=false',
      `docker://${server.host}/app:1`,
      `oci:${path}/theirs:x`,
    );
    const arm = await copyImage({
      ...common,
      source: `oci:${path}/theirs:x`,
      destination: `${server.host}/app:arm`,
      platforms: ['linux/arm64'],
    });
    expect(await imageDigest({ ...common, image: `${server.host}/app:1`, platform: 'linux/arm64' })).toBe(
      arm.digest,
    );
    const found = JSON.parse(
      await skopeo(
        'inspect',
        '--override-arch=arm64',
        '--tls-verify=false',
        `docker://${server.host}/app:arm`,
      ),
    ) as { Architecture: string };
    expect(found.Architecture).toBe('arm64');
    const destination = `docker-archive:${path}/save.tar:team/app:5`;
    await copyImage({ ...common, source: `${server.host}/app:1`, destination, platforms: ['linux/amd64'] });
    const saved = JSON.parse(await skopeo('inspect', destination.replace(':team/app:5', ''))) as {
      Layers: string[];
    };
    expect(saved.Layers).toHaveLength(2);
    const again = await copyImage({ ...common, source: destination, destination: `oci:${path}/again:1` });
    expect(await imageDigest({ ...common, image: `oci:${path}/again:1` })).toBe(again.digest);
  });

  test('a name that only the store has: the error says how to write it', async () => {
    await using server = await startRegistry();
    await using here = await workspace();
    const { common } = here;
    const name = `${server.host}/mine:1`;
    const absent = { code: 'IMAGE_NOT_FOUND', hint: expect.stringContaining(`write store:${name}`) };
    const image = `${server.host}/app:1`;
    await pushTwo(image);
    await pullImage({ ...common, image });
    await tagImage({ ...common, image, name });
    const destination = `${server.host}/new:1`;
    await expect(copyImage({ ...common, source: name, destination })).rejects.toMatchObject(absent);
    await expect(imageDigest({ ...common, image: name })).rejects.toMatchObject(absent);
    await expect(inspectManifest({ ...common, image: name })).rejects.toMatchObject(absent);
    const nowhere = inspectManifest({ ...common, image: `${server.host}/none:1` });
    await expect(nowhere).rejects.not.toMatchObject(absent);
  });

  test('within a registry nothing is sent; to another one each blob is read once, and a second time nothing', async () => {
    await using server = await startRegistry();
    await using target = await startRegistry();
    await using front = await counting(server.host);
    await using back = await counting(target.host);
    await using here = await workspace();
    const { common, path } = here;
    await pushTwo(`${server.host}/app:1`);
    const count = (seen: HttpServer['seen'], method: string, what: RegExp): number =>
      seen.filter((each) => each.method === method && what.test(each.path)).length;
    await copyImage({ ...common, source: `${front.host}/app:1`, destination: `${front.host}/other/app:1` });
    expect(count(front.seen, 'GET', /\/blobs\/sha256/)).toBe(0);
    expect(count(front.seen, 'PUT', /\/blobs\/uploads/)).toBe(0);
    await copyImage({ ...common, source: `${front.host}/app:1`, destination: `${back.host}/app:1` });
    // Two configs and four layers.
    expect(count(front.seen, 'GET', /\/blobs\/sha256/)).toBe(6);
    expect(count(back.seen, 'PUT', /\/blobs\/uploads/)).toBe(6);
    await copyImage({ ...common, source: `${front.host}/app:1`, destination: `${back.host}/app:2` });
    expect(count(front.seen, 'GET', /\/blobs\/sha256/)).toBe(6);
    // Nothing of it has touched the store.
    expect(await readdir(join(path, 'store', 'blobs', 'sha256'))).toEqual([]);
  });

  test('errors: no such image, platform, archive; a digest that it cannot have', async () => {
    await using server = await startRegistry();
    await using here = await workspace();
    const { common, path } = here;
    const { digest } = await pushTwo(`${server.host}/app:1`);
    const fails = async (
      source: string,
      destination: string,
      platforms?: readonly string[],
    ): Promise<unknown> =>
      copyImage({ ...common, source, destination, platforms }).catch((error: unknown) => error);
    const code = (name: string): unknown => expect.objectContaining({ code: name });
    const app = `${server.host}/app:1`;
    expect(await fails(`${server.host}/app:none`, `oci:${path}/x`)).toEqual(code('IMAGE_NOT_FOUND'));
    expect(await fails(app, `oci:${path}/x`, ['linux/s390x'])).toEqual(code('IMAGE_PLATFORM'));
    expect(await fails(app, `docker-archive:${path}/x.tar`, ['linux/amd64', 'linux/arm64'])).toEqual(
      code('USAGE'),
    );
    expect(await fails(app, `oci:${path}/x@${digest}`)).toEqual(code('USAGE'));
    expect(await fails(app, `oci:${path}/store/x`)).toEqual(code('USAGE'));
    expect(await fails(`oci:${path}/none`, app)).toEqual(code('IMAGE_NOT_FOUND'));
    expect(await fails('store:none', app)).toEqual(code('IMAGE_NOT_FOUND'));
    const wrong = `${server.host}/app@sha256:${'0'.repeat(64)}`;
    expect(await fails(app, wrong)).toEqual(code('REFERENCE_INVALID'));
    await writeFile(join(path, 'no.tar'), 'no archive');
    for (const kind of ['oci-archive', 'docker-archive']) {
      expect(await fails(`${kind}:${path}/no.tar`, app)).toEqual(code('IMAGE_INVALID'));
      expect(await fails(`${kind}:${path}/none.tar`, app)).toEqual(code('IMAGE_NOT_FOUND'));
      expect(await fails(`${kind}:${path}`, app)).toEqual(code('IMAGE_NOT_FOUND'));
    }
  });

  test('a layer that is not what its digest says is not copied', async () => {
    await using server = await startRegistry();
    await using here = await workspace();
    const { common, path } = here;
    await pushTwo(`${server.host}/app:1`);
    await copyImage({ ...common, source: `${server.host}/app:1`, destination: `oci:${path}/layout:1` });
    const blobs = join(path, 'layout/blobs/sha256');
    for (const name of await readdir(blobs)) {
      const bytes = await readFile(join(blobs, name));
      if (bytes[0] === 0x1f)
        await writeFile(join(blobs, name), Buffer.concat([bytes.subarray(0, -1), Buffer.from('x')]));
    }
    await expect(
      copyImage({ ...common, source: `oci:${path}/layout:1`, destination: `${server.host}/bad:1` }),
    ).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
    await expect(imageDigest({ ...common, image: `${server.host}/bad:1` })).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
    });
  });
});

suite('manifests', needs, () => {
  test('inspect shows the bytes; create makes an index of images anywhere, append keeps what is there', async () => {
    await using server = await startRegistry();
    await using other = await startRegistry();
    await using http = testClient();
    await using here = await workspace();
    const { common } = here;
    const push = async (name: string, architecture: string): Promise<Digest> =>
      (
        await pushImage(http, {
          images: [await makeImage([architecture], { architecture })],
          reference: parseReference(name),
        })
      ).digest;
    const amd = await push(`${server.host}/parts:amd`, amd64.architecture);
    const arm = await push(`${other.host}/parts:arm`, arm64.architecture);
    const names = [`${server.host}/whole:1`, `${server.host}/whole:latest`];
    const sources = [`${server.host}/parts:amd`, `${other.host}/parts:arm`];
    const dry = await createIndex({ ...common, names, sources, dryRun: true });
    await expect(imageDigest({ ...common, image: names[0] ?? '' })).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
    });
    const made = await createIndex({ ...common, names, sources });
    expect(made.bytes).toEqual(dry.bytes);
    const annotated = await createIndex({
      ...common,
      sources: [`${other.host}/parts:arm`],
      names: [`${server.host}/whole:2`],
      annotations: { b: '2', a: '1' },
      platforms: { [`${other.host}/parts:arm`]: 'linux/arm/v7' },
    });
    expect(annotated.document).toMatchObject({
      annotations: { a: '1', b: '2' },
      manifests: [{ digest: arm, platform: { os: 'linux', architecture: 'arm', variant: 'v7' } }],
    });
    for (const image of names) {
      expect(digestOf(await inspect(`docker://${image}`))).toBe(made.descriptor.digest);
      const found = await inspectManifest({ ...common, image });
      expect(digestOf(found.bytes)).toBe(made.descriptor.digest);
      expect(found.document).toMatchObject({
        manifests: [
          { digest: amd, platform: { architecture: 'amd64' } },
          { digest: arm, platform: { architecture: 'arm64' } },
        ],
      });
    }
    const riscv = await push(`${server.host}/parts:riscv`, 'riscv64');
    const more = await createIndex({
      ...common,
      names: names.slice(0, 1),
      sources: [`${server.host}/parts:riscv`],
      append: true,
    });
    expect(more.document).toMatchObject({ manifests: [{ digest: amd }, { digest: arm }, { digest: riscv }] });
    await skopeo(
      'copy',
      '--all',
      '--src-tls-verify=false',
      `docker://${names[0] ?? ''}`,
      `oci:${here.path}/all:1`,
    );
    const one = await inspectManifest({ ...common, image: names[0] ?? '', platform: 'linux/riscv64' });
    expect(one.descriptor.digest).toBe(riscv);
  });

  test('R-MISC-1: delete takes away what is named by digest; a registry that cannot delete a tag leaves it', async () => {
    await using server = await startRegistry();
    await using here = await workspace();
    const { common } = here;
    const repository = `${server.host}/app`;
    const { digest } = await pushTwo(`${repository}:1`);
    await copyImage({ ...common, source: `${repository}:1`, destination: `${repository}:2` });
    for (const image of [repository, 'store:app'])
      await expect(deleteManifest({ ...common, image })).rejects.toMatchObject({ code: 'USAGE' });
    // Debian's registry knows no deletion of tags.
    await expect(deleteManifest({ ...common, image: `${repository}:1` })).rejects.toMatchObject({
      code: 'REGISTRY_ERROR',
      hint: expect.stringContaining('by its digest'),
    });
    expect(new Set(await listTags({ ...common, repository }))).toEqual(new Set(['1', '2']));
    await deleteManifest({ ...common, image: `${repository}@${digest}` });
    await expect(imageDigest({ ...common, image: `${repository}:1` })).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
    });
    await expect(deleteManifest({ ...common, image: `${repository}@${digest}` })).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
    });
  });

  test('R-MISC-1: a tag alone goes where the registry deletes tags', async () => {
    await using server = await startHttpServer((request, response) => {
      response.writeHead(request.method === 'DELETE' ? 202 : 200).end();
    });
    await using here = await workspace();
    await deleteManifest({ ...here.common, image: `${server.host}/app:1` });
    expect(server.seen.map(({ method, path }) => `${method} ${path}`)).toContain(
      'DELETE /v2/app/manifests/1',
    );
  });

  test('C-MD-3: an index that is there is annotated under its own name, and what it has stays', async () => {
    await using server = await startRegistry();
    await using here = await workspace();
    const name = `${server.host}/app:1`;
    const { digest } = await pushTwo(name);
    const before = (await inspectManifest({ ...here.common, image: name })).document as Index;
    const annotate = (more: Partial<CreateIndexOptions>): Promise<InspectedManifest> =>
      createIndex({ ...here.common, sources: [name], names: [name], ...more });
    await annotate({ annotations: { first: '1' } });
    const made = await annotate({
      annotations: { second: '2' },
      descriptorAnnotations: [
        { name: 'all', value: 'x' },
        { name: 'arm', value: 'y', platform: 'arm64' },
      ],
    });
    const { annotations, manifests } = (await inspectManifest({ ...here.common, image: name }))
      .document as Index;
    expect(annotations).toEqual({ first: '1', second: '2' });
    expect(manifests.map((item) => item.annotations)).toEqual([{ all: 'x' }, { all: 'x', arm: 'y' }]);
    expect(manifests.map((item) => item.digest)).toEqual(before.manifests.map((item) => item.digest));
    expect(made.descriptor.digest).not.toBe(digest);
    expect(digestOf(await inspect(`docker://${name}`))).toBe(made.descriptor.digest);
    const nobody = annotate({ descriptorAnnotations: [{ name: 'a', value: 'b', platform: 'linux/s390x' }] });
    await expect(nobody).rejects.toMatchObject({ code: 'USAGE' });
  });
});

suite('referrers', needs, () => {
  test('R-REF-1: a registry without a list of referrers gets the fallback tag', async () => {
    await using server = await startRegistry();
    await using here = await workspace();
    const { common, path } = here;
    const image = `${server.host}/app:1`;
    const { digest } = await pushTwo(image);
    expect(await listReferrers({ ...common, image })).toEqual({ subject: digest, referrers: [] });
    await writeFile(join(path, 'sbom.json'), '{"spdx":1}');
    const sbom = await attachArtifact({
      ...common,
      image,
      artifactType: 'application/spdx+json',
      files: [{ path: join(path, 'sbom.json'), mediaType: 'application/spdx+json' }],
      annotations: { 'org.example': 'x' },
    });
    const note = await attachArtifact({ ...common, image, artifactType: 'application/vnd.example.note' });
    const { referrers } = await listReferrers({ ...common, image });
    expect(referrers).toEqual([
      expect.objectContaining({
        digest: sbom.digest,
        artifactType: 'application/spdx+json',
        annotations: { 'org.example': 'x' },
      }),
      expect.objectContaining({ digest: note.digest, artifactType: 'application/vnd.example.note' }),
    ]);
    const filtered = await listReferrers({ ...common, image, artifactType: 'application/spdx+json' });
    expect(filtered.referrers.map((item) => item.digest)).toEqual([sbom.digest]);
    // As the specification has it, and as others read it.
    const tag = JSON.parse(await inspect(`docker://${server.host}/app:${digest.replace(':', '-')}`)) as {
      manifests: unknown[];
    };
    expect(tag.manifests).toHaveLength(2);
    const raw = JSON.parse(await inspect(`docker://${server.host}/app@${sbom.digest}`)) as Record<
      string,
      unknown
    >;
    expect(raw).toMatchObject({
      artifactType: 'application/spdx+json',
      config: { mediaType: 'application/vnd.oci.empty.v1+json', size: 2 },
      layers: [
        {
          mediaType: 'application/spdx+json',
          annotations: { 'org.opencontainers.image.title': 'sbom.json' },
        },
      ],
      subject: { digest },
    });
    // Attached once, however often.
    await attachArtifact({ ...common, image, artifactType: 'application/vnd.example.note' });
    expect((await listReferrers({ ...common, image })).referrers).toHaveLength(2);
  });

  test('R-REF-1: a copied artifact is found beside the copied image', async () => {
    await using server = await startRegistry();
    await using other = await startRegistry();
    await using here = await workspace();
    const { common } = here;
    const { digest } = await pushTwo(`${server.host}/app:1`);
    const note = await attachArtifact({
      ...common,
      image: `${server.host}/app:1`,
      artifactType: 'application/vnd.example.note',
    });
    await copyImage({ ...common, source: `${server.host}/app:1`, destination: `${other.host}/app:1` });
    await copyImage({
      ...common,
      source: `${server.host}/app@${note.digest}`,
      destination: `${other.host}/app@${note.digest}`,
    });
    const found = await listReferrers({ ...common, image: `${other.host}/app@${digest}` });
    expect(found.referrers.map((item) => item.digest)).toEqual([note.digest]);
  });
});
