import { randomBytes } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { EarlyLayers } from '../../src/export/early-layers.ts';
import type { StoredLayer } from '../../src/image/layer-store.ts';
import type { ProgressEvent } from '../../src/progress/event.ts';
import { testClient } from '../support/registry-client.ts';
import type { UploadRegistry, UploadRegistryOptions } from '../support/upload-registry.ts';
import { startUploadRegistry } from '../support/upload-registry.ts';
import { file } from '../image/entries.ts';
import { localStore } from '../image/local-store.ts';

const stack: AsyncDisposableStack[] = [];
afterEach(async () => {
  for (const one of stack.splice(0)) await one.disposeAsync();
});

interface Scene {
  readonly registry: UploadRegistry;
  readonly early: EarlyLayers;
  readonly events: readonly ProgressEvent[];
  readonly layer: (content: string) => Promise<StoredLayer>;
  /** Of the step that shows them. */
  readonly states: () => readonly string[];
}

async function scene(options: UploadRegistryOptions = {}): Promise<Scene> {
  const held = new AsyncDisposableStack();
  stack.push(held);
  const store = held.use(localStore());
  const registry = held.use(await startUploadRegistry(options));
  const client = held.use(testClient({ retry: { delays: [1], longestPause: 10 } }));
  const events: ProgressEvent[] = [];
  const signal = new AbortController().signal;
  const to = { registry: registry.host, repository: 'a/b' };
  const early = held.use(new EarlyLayers(client, to, { signal, emit: (event) => events.push(event) }));
  return {
    ...{ registry, early, events },
    layer: (content) =>
      store.layers.fromEntries(
        (async function* () {
          yield file('file', content);
        })(),
      ),
    states: () => events.flatMap((event) => (event.type === 'vertex' ? event.state : [])),
  };
}

const how = { isRead: false, look: false };

test('a new layer is sent while it is made, and once', async () => {
  const { early, registry, layer, states } = await scene();
  const one = await layer(randomBytes(100_000).toString('hex'));
  early.add({ layer: one, ...how });
  early.add({ layer: one, ...how });
  await early.finish();
  expect(registry.story).toEqual(['POST', 'PATCH', 'PUT']);
  expect(one.hasBlob()).toBe(true);
  expect(registry.blobs.has(await one.digest())).toBe(true);
  expect(states()).toEqual(['running', 'done']);
});

test('where there is time its blob is made first, and what the registry has is not sent again', async () => {
  const { early, registry, layer, events } = await scene({
    intercept: ({ method, url = '' }, response) => {
      if (method !== 'HEAD' || !url.endsWith(known)) return false;
      response.writeHead(200).end();
      return true;
    },
  });
  const [one, other] = [await layer('one'), await layer('other')];
  const known = await other.digest();
  for (const each of [one, other]) early.add({ layer: each, ...how, look: true });
  await early.finish();
  expect(registry.story).toEqual(['POST', 'PUT']);
  expect(events.filter(({ type }) => type === 'transfer')).toHaveLength(1);
});

test('what has not begun is left to who takes over, and nothing is tried after a refusal', async () => {
  const answers: (() => void)[] = [];
  const begun = Promise.withResolvers<void>();
  const { early, registry, layer, events, states } = await scene({
    intercept: ({ method }, response) => {
      if (method !== 'POST') return false;
      answers.push(() => response.writeHead(403).end());
      if (answers.length === 2) begun.resolve();
      return true;
    },
  });
  const layers = [await layer('one'), await layer('two'), await layer('three'), await layer('four')];
  for (const each of layers) early.add({ layer: each, ...how });
  await begun.promise;
  const [one, two, three] = layers.map(({ knownDiffId }) => early.takeOver(knownDiffId));
  expect(three).toBeUndefined();
  for (const answer of answers) answer();
  await Promise.all([one, two].map((each) => each ?? Promise.reject(new Error('has not begun'))));
  await early.finish();
  expect(answers).toHaveLength(2);
  expect(events.filter(({ type }) => type === 'log')).toHaveLength(2);
  expect(states()).toEqual(['running', 'done']);
  expect(registry.blobs.size).toBe(0);
});

test('disposing ends what is on its way; then nothing is begun', async () => {
  const begun = Promise.withResolvers<void>();
  const { early, layer, states } = await scene({
    intercept: ({ method }) => {
      if (method === 'POST') begun.resolve();
      return method === 'POST';
    },
  });
  early.add({ layer: await layer('one'), ...how });
  await begun.promise;
  await early[Symbol.asyncDispose]();
  early.add({ layer: await layer('two'), ...how });
  expect(states()).toEqual(['running', 'cancelled']);
});
