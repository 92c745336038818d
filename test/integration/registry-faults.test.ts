import { readFile, readdir } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLayerStore } from '../../src/image/layer-store.ts';
import type { Image } from '../../src/image/image.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { Digest } from '../../src/oci/digest.ts';
import type { Reference } from '../../src/oci/reference.ts';
import { parseReference } from '../../src/oci/reference.ts';
import type { RegistryClient } from '../../src/registry/client.ts';
import { resolveImage } from '../../src/registry/pull.ts';
import { pushImage } from '../../src/registry/push.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/store.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { readAll } from '../../src/util/streams.ts';
import type { Fault, FaultProxy } from '../support/fault-proxy.ts';
import { faults, seeded, startFaultProxy } from '../support/fault-proxy.ts';
import { amd64, makeImage, testClient } from '../support/registry-client.ts';
import type { RegistryServer } from '../support/registry-server.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

const runs = 200;
/** Milliseconds that a run may take, stalls and all tries included. */
const bound = 20_000;

/** What a bad network may come to; anything else is a bug. */
const right = [
  'REGISTRY_UNREACHABLE',
  'REGISTRY_ERROR',
  'REGISTRY_UNAUTHORIZED',
  'CHECKSUM_MISMATCH',
  'IMAGE_INVALID',
];

suite('a network that breaks things', [tool('docker-registry')], () => {
  const stack = new AsyncDisposableStack();
  let registry: RegistryServer;
  let known: { reference: (host: string) => Reference; digest: Digest; contents: readonly Digest[] };

  beforeAll(async () => {
    registry = stack.use(await startRegistry());
    await using client = testClient();
    const image = await makeImage(layersOf(0));
    const digest = await image.digest();
    await pushImage(client, { images: [image], reference: parseReference(`${registry.host}/known:1`) });
    known = {
      digest,
      contents: await plainDigests(image),
      reference: (host) => parseReference(`${host}/known:1`),
    };
  });
  afterAll(() => stack.disposeAsync());

  const broken = (seed: number): Promise<FaultProxy> => {
    const random = seeded(seed);
    // From hardly ever to every second request.
    const rate = 0.02 + 0.48 * random() ** 2;
    const choose = (request: IncomingMessage): Fault | undefined => {
      const [pick, which] = [random(), random()];
      if (request.url?.startsWith('/fault-token') === true || pick > rate) return undefined;
      return faults[Math.floor(which * faults.length)];
    };
    return startFaultProxy({ target: registry.host, choose });
  };
  const client = (): RegistryClient =>
    testClient({
      retry: { delays: [5, 10, 20], longestPause: 100 },
      http: { timeouts: { connect: 1000, headers: 300, storing: 300, idle: 300 } },
    });

  test(`R-RETRY-1: ${runs} pushes and pulls end with the right bytes or the right error, in time`, async () => {
    await using folder = await tempFolder('faults');
    await using store = await openStore(folder.path);
    const outcomes: Record<string, number> = {};
    const met = new Set<string>();
    const one = async (seed: number): Promise<void> => {
      await using proxy = await broken(seed);
      await using http = client();
      const work = seed % 2 === 0 ? push(http, proxy.host, seed) : pull(http, proxy.host, store);
      const outcome = await within(bound, work, () => `seed ${seed}: ${proxy.done.join(', ')}`);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      for (const story of proxy.done) met.add(story.slice(story.lastIndexOf(': ') + 2));
      if (seed % 2 === 0) await storedIsRight(seed, outcome);
    };
    const seeds = Array.from({ length: runs }, (_, seed) => seed);
    // Stalls cost time but no work: many at once.
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) await one(seed);
      }),
    );
    expect([...met].toSorted()).toEqual([...faults].toSorted());
    // Both ends are met: most faults are mended, some cannot be.
    expect(outcomes['right']).toBeGreaterThan(runs / 2);
    expect(outcomes['right']).toBeLessThan(runs);
    const blobs = join(folder.path, 'blobs/sha256');
    for (const name of await readdir(blobs)) {
      expect(digestOf(await readFile(join(blobs, name)))).toBe(`sha256:${name}`);
    }
  }, 120_000);

  test('wrong bytes that come once are asked for once more: of any answer, and of any request', async () => {
    const spoiling: readonly Fault[] = [
      'flip',
      'flip request',
      'truncate',
      'length short',
      'length long',
      'digest',
    ];
    let name = runs;
    /** Does one thing to one request; how many there were. */
    const one = async (kind: 'push' | 'pull', fault?: Fault, at?: number): Promise<number> => {
      let count = 0;
      const choose = (): Fault | undefined => (count++ === at ? fault : undefined);
      await using proxy = await startFaultProxy({ target: registry.host, choose });
      await using http = client();
      await using folder = await tempFolder('spoilt');
      await using store = await openStore(folder.path);
      const seed = (name += 1);
      const story = (): string => `${kind}: ${proxy.done.join(', ')}`;
      const work = kind === 'push' ? push(http, proxy.host, seed) : pull(http, proxy.host, store);
      const outcome = await within(bound, work, story);
      // A manifest that came to the registry spoilt is refused as one that never was right.
      const isRefused = /PUT .*manifests.*: flip request/.test(story());
      expect(isRefused ? ['right', 'REGISTRY_ERROR'] : ['right'], story()).toContain(outcome);
      if (kind === 'push') await storedIsRight(seed, outcome);
      return count;
    };
    const all: (() => Promise<number>)[] = [];
    for (const kind of ['push', 'pull'] as const) {
      const requests = await one(kind);
      expect(requests).toBeGreaterThan(4);
      for (let at = 0; at < requests; at += 1)
        for (const fault of spoiling) all.push(() => one(kind, fault, at));
    }
    await Promise.all(
      Array.from({ length: 6 }, async () => {
        for (let next = all.pop(); next !== undefined; next = all.pop()) await next();
      }),
    );
  }, 120_000);

  async function push(http: RegistryClient, host: string, seed: number): Promise<string> {
    const image = await makeImage(layersOf(seed));
    return outcomeOf(async () => {
      await pushImage(http, { images: [image], reference: parseReference(`${host}/run-${seed}:1`) });
    });
  }

  /** What the registry has under the name afterwards, asked without the proxy. */
  async function storedIsRight(seed: number, outcome: string): Promise<void> {
    await using direct = testClient();
    const reference = parseReference(`${registry.host}/run-${seed}:1`);
    const image = await makeImage(layersOf(seed));
    const head = await direct.headManifest(reference, '1').catch(() => undefined);
    if (outcome === 'right') expect(head?.digest, `seed ${seed}`).toBe(await image.digest());
    if (head === undefined) return;
    // A name never stands for anything but the whole image.
    expect(head.digest, `seed ${seed}`).toBe(await image.digest());
    const found = await resolveImage(direct, reference, amd64);
    expect(await plainDigests(found.image)).toEqual(await plainDigests(image));
  }

  /** Into a store that other runs write as well. */
  async function pull(http: RegistryClient, host: string, store: Store): Promise<string> {
    return outcomeOf(async () => {
      const found = await resolveImage(http, known.reference(host), amd64);
      expect(found.descriptor.digest).toBe(known.digest);
      const { root, blobs } = store;
      const layers = createLayerStore({ root, blobs, table: { get: () => undefined, set: () => undefined } });
      for (const layer of await found.image.layers()) {
        await layers.fromRemote(await layer.diffId(), layer).storeBlob();
        expect(known.contents).toContain(await layer.digest());
      }
    });
  }

  test('an abort ends a push that stalls with its reason, and its connections', async () => {
    const choose = ({ url }: IncomingMessage): Fault | undefined => (url === '/v2/' ? undefined : 'stall');
    await using proxy = await startFaultProxy({ target: registry.host, choose });
    const http = testClient();
    const stop = new AbortController();
    const work = pushImage(http, {
      images: [await makeImage(layersOf(1))],
      reference: parseReference(`${proxy.host}/aborted:1`),
      signal: stop.signal,
    });
    while (proxy.done.length < 4) await sleep(5);
    stop.abort(new Error('enough'));
    await expect(work).rejects.toThrow('enough');
    while (proxy.sockets().stalled > 0) await sleep(5);
    await http[Symbol.asyncDispose]();
    while (proxy.sockets().open > 0) await sleep(5);
  });
});

/** Three layers, one of which is larger than what a socket takes at once. */
function layersOf(seed: number): readonly string[] {
  const random = seeded(seed + 1000);
  const noise = Array.from({ length: 40_000 }, () => Math.floor(random() * 2 ** 32).toString(36)).join('');
  return [`seed ${seed}`, noise, noise.slice(0, 50_000)];
}

async function plainDigests(image: Image): Promise<readonly Digest[]> {
  const layers = await image.layers();
  return Promise.all(layers.map(async (layer) => digestOf(await readAll(layer.compressed(), 10_000_000))));
}

/** 'right', or the code of an error that may be; throws any other. */
async function outcomeOf(work: () => Promise<void>): Promise<string> {
  try {
    await work();
    return 'right';
  } catch (error) {
    if (error instanceof BuildError && right.includes(error.code)) return error.code;
    throw error;
  }
}

async function within<T>(limit: number, work: Promise<T>, story: () => string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not over in ${limit} ms: ${story()}`)), limit);
  try {
    return await Promise.race([work, promise]);
  } catch (error) {
    throw error instanceof BuildError ? new Error(`${error.code}: ${story()}`, { cause: error }) : error;
  } finally {
    clearTimeout(timer);
  }
}
