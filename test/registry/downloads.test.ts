import type { ServerResponse } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import { readAll } from '../../src/util/streams.ts';
import { startHttpServer } from '../support/http-server.ts';
import { testClient } from '../support/registry-client.ts';

const layer = (number: number): Buffer => Buffer.alloc(100_000, `${number}`);
const described = (bytes: Buffer): Descriptor => ({
  mediaType: mediaType.ociLayerGzip,
  digest: digestOf(bytes),
  size: bytes.length,
});

test('R-PULL-3: four large blobs come from one registry at once, and small ones do not wait for them', async () => {
  const layers = [1, 2, 3, 4, 5, 6].map(layer);
  const config = Buffer.from('{}');
  const waiting: { readonly response: ServerResponse; readonly bytes: Buffer }[] = [];
  await using registry = await startHttpServer((request, response) => {
    const bytes = layers.find((each) => request.url?.endsWith(digestOf(each)) === true);
    if (bytes === undefined) response.end(request.url === '/v2/' ? '' : config);
    else waiting.push({ response, bytes });
  });
  await using client = testClient({ files: false });
  const from = { registry: registry.host, repository: 'a' };
  const all = Promise.all(layers.map((bytes) => readAll(client.getBlob(from, described(bytes)), 1_000_000)));
  while (waiting.length < 4) await turn();
  // A whole round trip, in which a fifth would have been asked for.
  expect(await readAll(client.getBlob(from, described(config)), 10)).toEqual(config);
  expect(waiting).toHaveLength(4);
  const released = async (count: number): Promise<void> => {
    for (const { response, bytes } of waiting.splice(0, count)) response.end(bytes);
  };
  await released(1);
  while (waiting.length < 4) await turn();
  await released(4);
  while (waiting.length < 1) await turn();
  await released(1);
  expect((await all).map((bytes) => bytes.length)).toEqual(layers.map((bytes) => bytes.length));
});
