import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { digestOf } from '../../src/oci/digest.ts';
import { parseReference } from '../../src/oci/reference.ts';
import type { RegistryClient } from '../../src/registry/client.ts';
import { createRegistryClient } from '../../src/registry/client.ts';
import { pushImage } from '../../src/registry/push.ts';
import type { ByteStream } from '../../src/util/streams.ts';
import { failure, makeImage } from '../support/registry-client.ts';
import { startUploadRegistry } from '../support/upload-registry.ts';

const MiB = 1024 * 1024;
const bytes = randomBytes(3 * MiB + 17);
const digest = digestOf(bytes);
const size = bytes.length;
const code = (name: string): unknown => expect.objectContaining({ code: name });

async function* pieces(): ByteStream {
  for (let at = 0; at < size; at += 64 * 1024) yield bytes.subarray(at, at + 64 * 1024);
}

function client(): RegistryClient {
  return createRegistryClient({ env: {}, files: false, retry: { delays: [1, 1, 1], longestPause: 50 } });
}
const repository = (host: string): { registry: string; repository: string } => ({
  registry: host,
  repository: 'a/b',
});

async function upload(host: string): Promise<string> {
  await using http = client();
  return await http.uploadBlob(repository(host), { digest, size, open: pieces });
}

test('R-PUSH-1: a blob goes in one stream', async () => {
  await using registry = await startUploadRegistry();
  expect(await upload(registry.host)).toBe('uploaded');
  expect(registry.story).toEqual(['POST', 'PUT']);
  expect(registry.blobs.get(digest)?.equals(bytes)).toBe(true);
  expect(await upload(registry.host)).toBe('exists');
});

test('an empty blob', async () => {
  await using registry = await startUploadRegistry();
  await using http = client();
  const empty = { digest: digestOf(''), size: 0, open: (): ByteStream => none() };
  expect(await http.uploadBlob(repository(registry.host), empty)).toBe('uploaded');
});

async function* none(): ByteStream {}

test('R-PUSH-1: what breaks off goes on where the registry says that it ended', async () => {
  let left = [MiB + 5, 100_000];
  await using registry = await startUploadRegistry({ breakAfter: () => left.shift() });
  expect(await upload(registry.host)).toBe('uploaded');
  expect(registry.story).toEqual([
    ...['POST', 'PUT', 'GET', `PATCH ${MiB + 5}-${size - 1}`],
    ...['GET', `PATCH ${MiB + 100_005}-${size - 1}`, 'PUT'],
  ]);
  expect(registry.received()).toBe(size);
  expect(registry.blobs.has(digest)).toBe(true);
});

test('a line that breaks after each MiB gets it through, though there are fewer tries', async () => {
  await using registry = await startUploadRegistry({ breakAfter: () => MiB / 2 + 1 });
  expect(await failure(upload(registry.host))).toEqual(code('REGISTRY_UNREACHABLE'));
  await using better = await startUploadRegistry({ breakAfter: () => MiB + 1 });
  const many = randomBytes(6 * MiB);
  await using http = client();
  await http.uploadBlob(repository(better.host), {
    ...{ digest: digestOf(many), size: many.length },
    open: () => one(many),
  });
  expect(better.received()).toBe(many.length);
});

async function* one(whole: Buffer): ByteStream {
  for (let at = 0; at < whole.length; at += 50_000) yield whole.subarray(at, at + 50_000);
}

test('R-PUSH-1: a registry that has forgotten the upload gets all of it again', async () => {
  let left = [MiB];
  await using registry = await startUploadRegistry({ forgets: true, breakAfter: () => left.shift() });
  await upload(registry.host);
  expect(registry.story).toEqual(['POST', 'PUT', 'GET', 'POST', 'PUT']);
  expect(registry.blobs.has(digest)).toBe(true);
});

test('R-PUSH-1: where a whole blob is too much it goes in chunks, as small as they must be and no smaller than they may be', async () => {
  await using registry = await startUploadRegistry({ largestBody: MiB });
  await upload(registry.host);
  const patches = registry.story.filter((line) => line.startsWith('PATCH'));
  expect(patches).toContain(`PATCH 0-${MiB - 1}`);
  expect(registry.blobs.has(digest)).toBe(true);
  await using picky = await startUploadRegistry({ largestBody: MiB, smallestChunk: 2 * MiB });
  expect(await failure(upload(picky.host))).toMatchObject({
    code: 'REGISTRY_ERROR',
    details: { status: 413 },
  });
});

test('R-PUSH-1: 416: the registry has less than it said; the rest begins there', async () => {
  let once = true;
  const loses = (have: number): number => {
    if (have < MiB || !once) return have;
    once = false;
    return have - 1000;
  };
  await using registry = await startUploadRegistry({ largestBody: MiB, loses });
  await upload(registry.host);
  expect(registry.story).toContain('GET');
  expect(registry.story.join(' ')).toContain(`PATCH ${MiB - 1000}-`);
  expect(registry.blobs.get(digest)?.equals(bytes)).toBe(true);
});

test('bytes that arrived wrong are sent anew, and not built upon', async () => {
  let turn = 0;
  const open = async function* (): ByteStream {
    // As if the line had changed them.
    for await (const piece of pieces()) yield turn === 0 ? Buffer.alloc(piece.length, 1) : piece;
    turn += 1;
  };
  await using registry = await startUploadRegistry();
  await using http = client();
  expect(await http.uploadBlob(repository(registry.host), { digest, size, open })).toBe('uploaded');
  expect(registry.story).toEqual(['POST', 'PUT', 'POST', 'PUT']);
});

test('a stream of unknown digest is on its way before it ends', async () => {
  const arrived = Promise.withResolvers<void>();
  await using registry = await startUploadRegistry({ onBytes: () => arrived.resolve() });
  await using http = client();
  const open = async function* (): ByteStream {
    yield bytes.subarray(0, MiB);
    await arrived.promise;
    yield bytes.subarray(MiB);
  };
  expect(await http.uploadStream(repository(registry.host), open)).toEqual({ digest, size });
  expect(registry.story).toEqual(['POST', 'PATCH', 'PUT']);
  expect(registry.blobs.has(digest)).toBe(true);
});

test('a stream that breaks off is made again, and only its rest is sent', async () => {
  let left = [MiB + 5];
  await using registry = await startUploadRegistry({ breakAfter: () => left.shift() });
  await using http = client();
  expect(await http.uploadStream(repository(registry.host), pieces)).toEqual({ digest, size });
  expect(registry.story).toEqual(['POST', 'PATCH', 'GET', 'PATCH', 'PUT']);
  expect(registry.received()).toBe(size);
});

test('R-PUSH-1: where there is no PATCH a stream is read for its digest first', async () => {
  await using registry = await startUploadRegistry({ wholeOnly: true });
  await using http = client();
  expect(await http.uploadStream(repository(registry.host), pieces)).toEqual({ digest, size });
  expect(registry.blobs.has(digest)).toBe(true);
  expect(registry.story.at(-1)).toBe('PUT');
});

test('R-RETRY-1: 429: a pause that is asked for is kept, a longer one than allowed ends it with a hint', async () => {
  let turn = 0;
  const after = (seconds: string): Parameters<typeof startUploadRegistry>[0] => ({
    intercept: (request, response) => {
      if (request.method !== 'PUT' || turn++ > 0) return false;
      request.resume().on('end', () => response.writeHead(429, { 'retry-after': seconds }).end());
      return true;
    },
  });
  await using registry = await startUploadRegistry(after('0'));
  expect(await upload(registry.host)).toBe('uploaded');
  turn = 0;
  await using strict = await startUploadRegistry(after('3600'));
  expect(await failure(upload(strict.host))).toMatchObject({
    code: 'REGISTRY_ERROR',
    hint: expect.stringContaining('mirror'),
    details: { retryAfter: 3_600_000 },
  });
  expect(turn).toBe(1);
});

test('R-RETRY-1: one blob that fails leaves the others alone, and is tried once more after them', async () => {
  const image = await makeImage(['one', 'two', 'three', 'four']);
  const [, second] = await Promise.all((await image.layers()).map((layer) => layer.digest()));
  let puts = 0;
  const failing = (times: number): Parameters<typeof startUploadRegistry>[0] => ({
    intercept: (request, response) => {
      if (request.method !== 'PUT' || !decodeURIComponent(request.url ?? '').includes(second ?? '?'))
        return false;
      if (puts++ >= times) return false;
      request.resume().on('end', () => response.writeHead(500).end());
      return true;
    },
  });
  const push = async (host: string): Promise<unknown> => {
    await using http = client();
    return await failure(pushImage(http, { images: [image], reference: parseReference(`${host}/a/b:1`) }));
  };
  // The first try and three more, then again in the second round.
  await using mended = await startUploadRegistry(failing(5));
  expect(await push(mended.host)).toBe('it worked');
  expect(mended.blobs.size).toBe(5);
  puts = 0;
  await using lost = await startUploadRegistry(failing(100));
  expect(await push(lost.host)).toEqual(code('REGISTRY_ERROR'));
  // Four in each round; a try may also end before its PUT, at a connection that the last answer has closed.
  expect(puts).toBeGreaterThan(4);
  expect(puts).toBeLessThanOrEqual(8);
  expect(lost.blobs.size).toBe(4);
  expect(lost.story).not.toContain('PUT manifest');
});

test('R-RETRY-1: a refusal ends a push at once', async () => {
  let posts = 0;
  await using registry = await startUploadRegistry({
    intercept: (request, response) => {
      if (request.method !== 'POST') return false;
      posts += 1;
      response.writeHead(403).end();
      return true;
    },
  });
  const image = await makeImage(Array.from({ length: 20 }, (_, number) => `layer ${number}`));
  await using http = client();
  const work = pushImage(http, { images: [image], reference: parseReference(`${registry.host}/a/b:1`) });
  expect(await failure(work)).toEqual(code('REGISTRY_UNAUTHORIZED'));
  expect(posts).toBeLessThanOrEqual(4);
});

test('a registry that says it has more of a blob than it was sent is not tried for ever', async () => {
  let has = 0;
  await using registry = await startUploadRegistry({
    intercept(request, response) {
      if (request.url?.includes('/blobs/uploads/') !== true || request.method === 'POST') return false;
      request.resume();
      has += 2 * MiB;
      if (request.method === 'GET') response.writeHead(204, { range: `0-${has}` }).end();
      else response.writeHead(500).end();
      return true;
    },
  });
  expect(await failure(upload(registry.host))).toEqual(code('REGISTRY_ERROR'));
  await using http = client();
  expect(await failure(http.uploadStream(repository(registry.host), pieces))).toEqual(code('REGISTRY_ERROR'));
});
