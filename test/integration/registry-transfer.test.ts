import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BuildOptions } from '../../src/index.ts';
import { build } from '../../src/index.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { resolveImage } from '../../src/registry/pull.ts';
import { pushImage } from '../../src/registry/push.ts';
import { readAll } from '../../src/util/streams.ts';
import type { FaultProxy } from '../support/fault-proxy.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { amd64, makeImage, testClient } from '../support/registry-client.ts';
import type { RegistryServer } from '../support/registry-server.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

/** A registry behind a proxy that does nothing but count. */
interface Counted extends AsyncDisposable {
  readonly host: string;
  /** `GET blob sha256:…`, `PUT blob`, … since the last call. */
  taken(): readonly string[];
}

async function startCounted(): Promise<Counted> {
  const stack = new AsyncDisposableStack();
  const registry: RegistryServer = stack.use(await startRegistry());
  let seen: string[] = [];
  const proxy: FaultProxy = stack.use(
    await startFaultProxy({
      target: registry.host,
      choose: ({ method, url = '' }) => {
        const { pathname, searchParams } = new URL(url, 'http://x');
        const blob = /\/blobs\/(sha256:\w+)$/.exec(pathname)?.[1];
        if (blob !== undefined) seen.push(`${method} blob ${blob}`);
        else if (searchParams.has('mount')) seen.push('mount');
        else if (method === 'PATCH') seen.push('send');
        else if (method === 'PUT' && pathname.includes('/uploads/')) {
          seen.push(`end ${searchParams.get('digest')}`);
        } else if (pathname.includes('/manifests/')) seen.push(`${method} ${pathname.split('/').at(-1)}`);
        return undefined;
      },
    }),
  );
  return {
    host: proxy.host,
    taken: () => {
      const all = seen;
      seen = [];
      return all;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const MiB = 1024 * 1024;
const baseTexts = ['base one '.repeat(3), 'base two', 'x'.repeat(2 * MiB)];

suite('what goes over the wire', [tool('docker-registry')], () => {
  const stack = new AsyncDisposableStack();
  let first: Counted;
  let second: Counted;
  let folder: string;
  let baseLayers: readonly Digest[];

  beforeAll(async () => {
    first = stack.use(await startCounted());
    second = stack.use(await startCounted());
    folder = stack.use(await tempFolder('transfer')).path;
    const image = await makeImage(baseTexts);
    baseLayers = await Promise.all((await image.layers()).map((layer) => layer.digest()));
    await using http = testClient();
    await pushImage(http, { images: [image], reference: parseReference(`${first.host}/team/base:1`) });
    const context = join(folder, 'context');
    mkdirSync(context);
    writeFileSync(
      join(context, 'Dockerfile'),
      `FROM ${first.host}/team/base:1\nCOPY --link file /file\nCOPY --link other /other\n`,
    );
    writeFileSync(join(context, 'file'), 'new');
    writeFileSync(join(context, 'other'), 'newer');
  });
  afterAll(() => stack.disposeAsync());

  let stores = 0;
  const push = async (tags: readonly string[], more: Partial<BuildOptions> = {}): Promise<string> => {
    const root = join(folder, `store-${(stores += 1)}`);
    first.taken();
    second.taken();
    await build({
      ...{ root, tags, context: join(folder, 'context'), env: {}, registryFiles: false },
      ...{ outputs: [{ type: 'registry' }], ...more },
    });
    return root;
  };
  const ends = (seen: readonly string[]): readonly string[] => seen.filter((line) => line.startsWith('end '));
  /** Blobs of the store that are as large as the largest base layer, compressed. */
  const stored = (root: string): readonly string[] =>
    readdirSync(join(root, 'blobs/sha256')).filter((name) => baseLayers.includes(`sha256:${name}`));

  test('R-PUSH-1: an image whose base is in the same registry uploads its new layers alone', async () => {
    const root = await push([`${first.host}/team/app:1`]);
    const seen = first.taken();
    // Two layers and the config.
    expect(ends(seen)).toHaveLength(3);
    for (const layer of baseLayers) {
      expect(seen).not.toContain(`GET blob ${layer}`);
      expect(ends(seen)).not.toContain(`end ${layer}`);
    }
    expect(seen.filter((line) => line === 'mount')).toHaveLength(baseLayers.length);
    expect(stored(root)).toEqual([]);
  });

  test('R-PULL-3: pushed to another registry, each base layer is downloaded once and stored nowhere', async () => {
    const root = await push([`${second.host}/team/app:1`]);
    const [from, to] = [first.taken(), second.taken()];
    for (const layer of baseLayers) {
      expect(from.filter((line) => line === `GET blob ${layer}`)).toHaveLength(1);
      expect(ends(to).filter((line) => line === `end ${layer}`)).toHaveLength(1);
    }
    expect(ends(to)).toHaveLength(baseLayers.length + 3);
    expect(stored(root)).toEqual([]);
    await using http = testClient();
    const found = await resolveImage(http, parseReference(`${second.host}/team/app:1`), amd64);
    const layers = await found.image.layers();
    await Promise.all(layers.map((layer) => readAll(layer.uncompressed(), 10 * MiB)));
    expect(layers).toHaveLength(baseLayers.length + 2);
  });

  test('many tags of a repository cost one look at its blobs; another repository mounts them', async () => {
    const tags = Array.from({ length: 5 }, (_, number) => `${second.host}/many/tags:${number}`);
    await push([...tags, `${second.host}/many/other:1`]);
    const seen = second.taken();
    const blobs = baseLayers.length + 3;
    // Each once for either repository, also those that were sent early; layers of the base perhaps early as well.
    const looks = seen.filter((line) => line.startsWith('HEAD blob')).length;
    expect(looks).toBeGreaterThanOrEqual(2 * blobs);
    expect(looks).toBeLessThanOrEqual(2 * blobs + baseLayers.length);
    expect(ends(seen)).toHaveLength(blobs + 1);
    expect(seen.filter((line) => line === 'mount')).toHaveLength(blobs - 1);
    expect(seen.filter((line) => line.startsWith('PUT '))).toHaveLength(6);
  });

  test('new layers are sent while they are compressed, and their blobs are kept', async () => {
    const root = await push([`${second.host}/early/app:1`], {
      dockerfile: { text: 'FROM scratch\nCOPY file /early\n' },
    });
    const seen = second.taken();
    await using http = testClient();
    const { image } = await resolveImage(http, parseReference(`${second.host}/early/app:1`), amd64);
    const [layer] = (await image.manifest()).layers;
    expect(seen).toContain('send');
    expect(seen.indexOf('send')).toBeLessThan(seen.indexOf(`HEAD blob ${layer?.digest}`));
    expect(
      statSync(join(root, 'blobs/sha256', layer?.digest.slice('sha256:'.length) ?? '?')).size,
    ).toBeGreaterThan(0);
  });

  test('R-PULL-1: a base whose documents are known is looked up by HEAD alone', async () => {
    const root = await push([`${second.host}/again/app:1`]);
    first.taken();
    await build({
      ...{ root, context: join(folder, 'context'), env: {}, registryFiles: false, pull: true },
      ...{ tags: [`${second.host}/again/app:2`], outputs: [{ type: 'cacheonly' }] },
    });
    expect(first.taken()).toEqual(['HEAD 1']);
  });
});
