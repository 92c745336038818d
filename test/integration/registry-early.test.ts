import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BuildOptions, BuildResult, ProgressEvent } from '../../src/index.ts';
import { build } from '../../src/index.ts';
import type { Manifest } from '../../src/oci/manifest.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { busyboxRootfs } from '../support/base-images.ts';
import type { Fault, FaultProxy, FaultProxyOptions } from '../support/fault-proxy.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import type { HttpServer } from '../support/http-server.ts';
import { startHttpServer } from '../support/http-server.ts';
import { testClient } from '../support/registry-client.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

/** A registry behind a proxy that tells what has ended. */
interface Watched extends AsyncDisposable {
  readonly host: string;
  readonly proxy: FaultProxy;
  /** `POST upload`, `blob sha256:…`, `manifest 1`, in the order in which their answers came. */
  readonly ended: string[];
  fault: ((line: string) => Fault | undefined) | undefined;
  /** Resolves when something has ended, now or already. */
  seen(is: (line: string) => boolean): Promise<void>;
}

async function startWatched(): Promise<Watched> {
  const stack = new AsyncDisposableStack();
  const registry = stack.use(await startRegistry());
  const waiting = new Set<() => void>();
  const lineOf: (request: Parameters<FaultProxyOptions['choose']>[0]) => string = ({ method, url = '' }) => {
    const { pathname, searchParams } = new URL(url, 'http://x');
    const digest = /\/blobs\/(sha256:\w+)$/.exec(pathname)?.[1];
    if (digest !== undefined) return `${method} blob ${digest}`;
    if (pathname.includes('/manifests/')) return `${method} manifest ${pathname.split('/').at(-1)}`;
    const ends = method === 'PUT' ? ` ${searchParams.get('digest')}` : '';
    return `${method} upload${ends}`;
  };
  const proxy = stack.use(
    await startFaultProxy({
      target: registry.host,
      choose: (request) => watched.fault?.(lineOf(request)),
      onAnswer: (request) => {
        watched.ended.push(lineOf(request));
        for (const look of waiting) look();
      },
    }),
  );
  const watched: Watched = {
    ...{ host: proxy.host, proxy, ended: [], fault: undefined },
    seen: (is) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const look = (): void => {
        if (!watched.ended.some(is)) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
      return promise;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  return watched;
}

suite('layers that are sent while steps run', ['root', tool('runc'), tool('docker-registry')], () => {
  const stack = new AsyncDisposableStack();
  let from: Watched;
  let to: Watched;
  let folder: string;
  let base: Manifest['layers'][number];
  /** Answers a step when what the test waits for has come about. */
  let gate: HttpServer;
  let opens: Promise<unknown> = Promise.resolve();

  beforeAll(async () => {
    from = stack.use(await startWatched());
    to = stack.use(await startWatched());
    gate = stack.use(
      await startHttpServer((_, response) => {
        void opens.then(() => response.end('open'));
      }),
    );
    folder = stack.use(await tempFolder('early')).path;
    copyFileSync(busyboxRootfs(), join(folder, 'rootfs.tar'));
    writeFileSync(join(folder, 'file'), 'in the first layer');
    await run('FROM scratch\nADD rootfs.tar /\n', { tags: [`${from.host}/team/base:1`] });
    base = await layerOf(`${from.host}/team/base:1`, 0);
    from.ended.length = 0;
  });
  afterAll(() => stack.disposeAsync());

  let stores = 0;
  const run = (text: string, options: BuildOptions): Promise<BuildResult> =>
    build({
      root: join(folder, `store-${(stores += 1)}`),
      ...{ context: folder, env: { PATH: process.env['PATH'] }, registryFiles: false },
      ...{ outputs: [{ type: 'registry' }], allow: ['network.host'], sourceDateEpoch: 1_000_000_000 },
      dockerfile: { text },
      ...options,
    });
  /** A step that waits for `opens`, on a base, with a layer before it. */
  const waiting = (after = ''): string =>
    [
      `FROM ${from.host}/team/base:1`,
      'COPY file /first',
      `RUN --network=host wget -q -O /gate http://${gate.host}/${after}`,
      'RUN echo last >/last',
    ].join('\n');
  const layerOf = async (name: string, index: number): Promise<Manifest['layers'][number]> => {
    await using http = testClient();
    const reference = parseReference(name);
    const { document } = await http.getManifest(reference, reference.tag ?? '');
    const layer = document.kind === 'manifest' ? document.manifest.layers.at(index) : undefined;
    if (layer === undefined) throw new Error(`${name} has no layer ${index}`);
    return layer;
  };
  const uploads = (): readonly string[] =>
    to.ended.flatMap((line) => /^PUT upload (sha256:\w+)$/.exec(line)?.[1] ?? []);
  const manifests = (): readonly string[] => to.ended.filter((line) => line.startsWith('PUT manifest'));
  const begin = (): void => {
    to.ended.length = 0;
    from.ended.length = 0;
    to.fault = undefined;
  };
  const errorOf = async (work: Promise<unknown>): Promise<BuildError> => {
    const error = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error instanceof BuildError) return error;
    throw new Error('no BuildError', { cause: error });
  };

  test('layers below a step, of the base too, are there before it ends; the image is the one that a build without pushing gives', async () => {
    begin();
    const without = await run(waiting(), { outputs: [{ type: 'oci', dest: join(folder, 'image.tar') }] });
    begin();
    let before: readonly string[] = [];
    const two = (): boolean => uploads().length === 2;
    const opening = async (): Promise<void> => {
      await to.seen(two);
      before = [...to.ended];
    };
    opens = opening();
    const name = `${to.host}/team/app:1`;
    const { digest } = await run(waiting(), { tags: [name] });
    expect(digest).toBe(without.digest);
    const layers = await Promise.all([0, 1].map((index) => layerOf(name, index)));
    expect(uploads().slice(0, 2).toSorted()).toEqual(layers.map((layer) => layer.digest).toSorted());
    expect(before.filter((line) => line.startsWith('PUT manifest'))).toEqual([]);
    expect(manifests()).toEqual(['PUT manifest 1']);
    // Four layers and the config, each once; the step that reads the base costs no further download.
    expect(uploads()).toHaveLength(5);
    expect(new Set(uploads()).size).toBe(5);
    expect(from.ended.filter((line) => line === `GET blob ${base.digest}`)).toHaveLength(1);
  });

  test('each registry gets them, its other repositories mount them, and what the store keeps is downloaded once', async () => {
    begin();
    opens = Promise.all([
      to.seen(() => uploads().length === 2),
      from.seen((line) => line.startsWith('PUT upload')),
    ]);
    const names = [`${to.host}/two/a:1`, `${to.host}/two/b:1`, `${from.host}/two/a:1`];
    const { digest } = await run(waiting(), { tags: names, outputs: [{ type: 'image', push: true }] });
    // Layers and configs: one of each is sent to a registry, and the base is in one of them.
    expect(uploads()).toHaveLength(5 + 1);
    expect(from.ended.filter((line) => line.startsWith('PUT upload'))).toHaveLength(4);
    expect(from.ended.filter((line) => line === `GET blob ${base.digest}`)).toHaveLength(1);
    await using http = testClient();
    for (const name of names)
      expect((await http.headManifest(parseReference(name), '1'))?.digest).toBe(digest);
  });

  test('a step that fails after them leaves no manifest, and its own error', async () => {
    begin();
    opens = to.seen(() => uploads().length === 2);
    const text = waiting().replace('echo last >/last', 'exit 7');
    const error = await errorOf(run(text, { tags: [`${to.host}/team/failed:1`] }));
    expect([error.code, error.details['exitCode']]).toEqual(['STEP_FAILED', 7]);
    expect(manifests()).toEqual([]);
    await using http = testClient();
    expect(await http.headManifest(parseReference(`${to.host}/team/failed:1`), '1')).toBeUndefined();
  });

  test('a registry that takes none of them does not end a step; the push tells', async () => {
    begin();
    const refused = Promise.withResolvers<void>();
    let posts = 0;
    to.fault = (line) => {
      // The first shows before the build that it may push.
      if (line !== 'POST upload' || (posts += 1) === 1) return undefined;
      refused.resolve();
      return '401';
    };
    opens = refused.promise;
    const events: ProgressEvent[] = [];
    const options = {
      tags: [`${to.host}/team/refused:1`],
      onEvent: (event: ProgressEvent) => events.push(event),
    };
    const error = await errorOf(run(waiting(), options));
    expect(error.code).toBe('REGISTRY_UNAUTHORIZED');
    const done = events.flatMap((event) =>
      event.type === 'vertex' && event.state === 'done' ? event.name : [],
    );
    expect(done).toEqual(expect.arrayContaining([expect.stringMatching(/RUN echo last/)]));
    expect(manifests()).toEqual([]);
  });

  test('a layer that was not searched for the secrets of this build stays here', async () => {
    begin();
    opens = Promise.resolve();
    const root = join(folder, 'store-leaks');
    const text = waiting();
    const first = `${from.host}/team/first:1`;
    await run(text.split('\n').slice(0, 2).join('\n'), { root, tags: [first] });
    const unsearched = await layerOf(first, 1);
    begin();
    opens = to.seen(() => uploads().length > 0);
    const secrets = [{ id: 'word', value: 'in the first layer' }];
    const error = await errorOf(run(text, { root, secrets, tags: [`${to.host}/team/leak:1`] }));
    expect(error.code).toBe('SECRET_LEAK');
    expect(uploads()).toContain(base.digest);
    expect(uploads()).not.toContain(unsearched.digest);
  });

  test('an interrupt ends what is on its way', async () => {
    begin();
    const stop = new AbortController();
    const stalled = Promise.withResolvers<void>();
    const running = Promise.withResolvers<void>();
    void Promise.all([stalled.promise, running.promise]).then(() => stop.abort());
    to.fault = (line) => {
      if (!/^(?:PATCH|PUT) upload/.test(line)) return undefined;
      stalled.resolve();
      return 'stall';
    };
    opens = new Promise(() => undefined);
    const events: ProgressEvent[] = [];
    const onEvent = (event: ProgressEvent): void => {
      events.push(event);
      if (event.type === 'vertex' && event.state === 'running' && / RUN /.test(event.name)) running.resolve();
    };
    const tags = [`${to.host}/team/stopped:1`];
    const error = await errorOf(run(waiting(), { tags, signal: stop.signal, onEvent }));
    expect(error.code).toBe('INTERRUPTED');
    const early = events.flatMap((event) =>
      event.type === 'vertex' && event.name.startsWith('sending layers') ? event.state : [],
    );
    expect(early).toEqual(['running', 'cancelled']);
    while (to.proxy.sockets().stalled > 0) await sleep(5);
  });
});
