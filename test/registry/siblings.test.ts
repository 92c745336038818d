import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { copyImage, pullImage } from '../../src/index.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { readAll } from '../../src/util/streams.ts';
import { startHttpServer } from '../support/http-server.ts';
import type { HttpServer } from '../support/http-server.ts';
import { makeImage } from '../support/registry-client.ts';
import { tempFolder } from '../support/temp.ts';
import { startUploadRegistry } from '../support/upload-registry.ts';

// R-RETRY-1: one failed blob never costs the others.

interface Origin extends AsyncDisposable {
  readonly host: string;
  readonly layers: readonly Digest[];
  /** The blob that is not there. */
  lost: Digest | undefined;
  /** Layers that were asked for since the last call. */
  readonly asked: () => readonly Digest[];
}

/** A registry with one image of six layers. The answer about the one that is lost comes first. */
async function startOrigin(): Promise<Origin> {
  const image = await makeImage(['one', 'two', 'three', 'four', 'five', 'six']);
  const { config, layers } = await image.manifest();
  const content = new Map<string, Uint8Array>([
    ['1', await image.rawManifest()],
    [await image.digest(), await image.rawManifest()],
    [config.digest, await image.rawConfig()],
  ]);
  for (const layer of await image.layers())
    content.set(await layer.digest(), await readAll(layer.compressed(), 10_000));
  let asked: Digest[] = [];
  const told = Promise.withResolvers<void>();
  const server: HttpServer = await startHttpServer(({ url = '' }, response) => {
    const name = url.split('/').at(-1) ?? '';
    const bytes = name === origin.lost ? undefined : content.get(name);
    const layer = origin.layers.find((digest) => digest === name);
    if (layer !== undefined) asked.push(layer);
    if (bytes === undefined) {
      response.writeHead(url === '/v2/' ? 200 : 404).end('{}', () => {
        if (layer !== undefined) setImmediate(told.resolve);
      });
      return;
    }
    const answer = (): unknown =>
      response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }).end(bytes);
    if (layer === undefined || origin.lost === undefined) answer();
    else void told.promise.then(answer);
  });
  const origin: Origin = {
    ...{ host: server.host, layers: layers.map(({ digest }) => digest), lost: layers[1]?.digest },
    asked: () => asked.splice(0),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
  return origin;
}

test('a pull keeps the other layers, and the next one fetches what was lost alone', async () => {
  await using folder = await tempFolder('siblings');
  await using origin = await startOrigin();
  const options = {
    root: folder.path,
    env: {},
    registryFiles: false,
    image: `${origin.host}/a/b:1`,
  } as const;
  const { lost } = origin;
  await expect(pullImage({ ...options, platform: 'linux/amd64' })).rejects.toMatchObject({
    code: 'REGISTRY_ERROR',
  });
  const kept = readdirSync(join(folder.path, 'blobs/sha256')).map((name) => `sha256:${name}`);
  expect(kept).toEqual(expect.arrayContaining(origin.layers.filter((digest) => digest !== lost)));
  expect(kept).not.toContain(lost);
  origin.asked();
  origin.lost = undefined;
  await pullImage({ ...options, platform: 'linux/amd64' });
  expect(origin.asked()).toEqual([lost]);
});

test('a copy sends the other blobs, and the next one what was lost alone', async () => {
  await using folder = await tempFolder('siblings');
  await using origin = await startOrigin();
  await using target = await startUploadRegistry();
  const copy = {
    ...{ root: folder.path, env: {}, registryFiles: false as const },
    ...{ source: `${origin.host}/a/b:1`, destination: `${target.host}/a/b:1` },
  } as const;
  const { lost } = origin;
  await expect(copyImage(copy)).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
  for (const digest of origin.layers) expect(target.blobs.has(digest)).toBe(digest !== lost);
  expect(target.story).not.toContain('PUT manifest');
  origin.asked();
  origin.lost = undefined;
  await copyImage(copy);
  expect(origin.asked()).toEqual([lost]);
  expect(target.story).toContain('PUT manifest');
});
