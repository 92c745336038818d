import { expect, test } from 'vitest';
import { copyParts } from '../../src/image/copy-documents.ts';
import type { Image } from '../../src/image/image.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { ProgressEvent } from '../../src/progress/event.ts';
import { registrySource, registryTarget } from '../../src/registry/copy.ts';
import { resolveImage } from '../../src/registry/pull.ts';
import { pushImage } from '../../src/registry/push.ts';
import { localStore } from '../image/local-store.ts';
import type { HttpServer } from '../support/http-server.ts';
import { startHttpServer } from '../support/http-server.ts';
import { amd64, failure, makeImage, testClient } from '../support/registry-client.ts';
import { startUploadRegistry } from '../support/upload-registry.ts';

const signal = new AbortController().signal;

interface Origin extends AsyncDisposable {
  readonly host: string;
  /** How often the layer was asked for. */
  readonly asked: () => number;
}

/** A registry that has one image of one layer; the first `spoilt` answers with its bytes are wrong. */
async function startOrigin(image: Image, spoilt: number): Promise<Origin> {
  const [layer] = await image.layers();
  if (layer === undefined) throw new Error('no layer');
  const digest = await layer.digest();
  const content = new Map<string, Uint8Array>([
    [await image.digest(), await image.rawManifest()],
    ['1', await image.rawManifest()],
    [(await image.manifest()).config.digest, await image.rawConfig()],
  ]);
  const chunks: Uint8Array[] = [];
  for await (const chunk of layer.compressed()) chunks.push(chunk);
  content.set(digest, Buffer.concat(chunks));
  let asked = 0;
  const server: HttpServer = await startHttpServer(({ url = '' }, response) => {
    const name = url.split('/').at(-1) ?? '';
    const bytes = content.get(name);
    if (bytes === undefined) {
      response.writeHead(url === '/v2/' ? 200 : 404).end('{}');
      return;
    }
    const wrong = name === digest && (asked += 1) <= spoilt;
    const type = 'application/vnd.oci.image.manifest.v1+json';
    response.writeHead(200, { 'content-type': type }).end(wrong ? Buffer.alloc(bytes.length, 7) : bytes);
  });
  return {
    host: server.host,
    asked: () => asked,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const image = await makeImage(['a layer that is read']);

test('a pull asks once more, and tells; twice is too often, and leaves nothing', async () => {
  for (const spoilt of [1, 2]) {
    await using origin = await startOrigin(image, spoilt);
    const events: ProgressEvent[] = [];
    await using http = testClient({ emit: (event) => events.push(event) });
    using store = localStore();
    const found = await resolveImage(http, nameAt(origin.host), amd64);
    const [layer] = await found.image.layers();
    if (layer === undefined) throw new Error('no layer');
    const digest = await layer.digest();
    const stored = store.layers.fromRemote(await layer.diffId(), layer).storeBlob();
    if (spoilt === 1) await stored;
    else expect(await failure(stored)).toMatchObject({ code: 'CHECKSUM_MISMATCH' });
    expect(store.blobs.has(digest)).toBe(spoilt === 1);
    expect(origin.asked()).toBe(2);
    expect(events).toMatchObject([{ type: 'diagnostic', diagnostic: { rule: 'SpoiltBlob' } }]);
  }
});

test('where a mirror was the first, the registry itself is asked', async () => {
  await using mirror = await startOrigin(image, Infinity);
  await using origin = await startOrigin(image, 0);
  await using http = testClient({ mirrors: { [origin.host]: [mirror.host] } });
  using store = localStore();
  const found = await resolveImage(http, nameAt(origin.host), amd64);
  const [layer] = await found.image.layers();
  if (layer === undefined) throw new Error('no layer');
  await store.layers.fromRemote(await layer.diffId(), layer).storeBlob();
  expect([mirror.asked(), origin.asked()]).toEqual([1, 1]);
});

test.each(['push', 'copy'])(
  'a %s from registry to registry sends what came the second time',
  async (kind) => {
    for (const spoilt of [1, 2]) {
      await using origin = await startOrigin(image, spoilt);
      await using target = await startUploadRegistry();
      await using http = testClient();
      const [from, to] = [nameAt(origin.host), { ...nameAt(target.host), repository: 'a/b' }];
      const work = async (): Promise<void> => {
        if (kind === 'push') {
          const found = await resolveImage(http, from, amd64);
          await pushImage(http, { images: [found.image], reference: to });
        } else {
          const source = registrySource(http, from, signal);
          const top = await source.top();
          await copyParts(source, registryTarget(http, to, signal), top, { id: 'x' });
        }
      };
      if (spoilt === 1) await work();
      else expect(await failure(work())).toMatchObject({ code: 'CHECKSUM_MISMATCH' });
      expect(origin.asked()).toBe(2);
      const [layer] = (await image.manifest()).layers;
      expect(target.blobs.has(layer?.digest ?? '')).toBe(spoilt === 1);
      for (const [name, bytes] of target.blobs) expect(digestOf(bytes)).toBe(name);
    }
  },
);

function nameAt(registry: string): { registry: string; repository: string; tag: string } {
  return { registry, repository: 'team/app', tag: '1' };
}
