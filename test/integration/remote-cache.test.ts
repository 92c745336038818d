import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BuildOptions } from '../../src/index.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import type { Manifest } from '../../src/oci/manifest.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { busyboxRootfs } from '../support/base-images.ts';
import type { CountingRegistry } from '../support/counting-registry.ts';
import { countingRegistry } from '../support/counting-registry.ts';
import { newMachine } from '../support/machine.ts';
import type { RegistryServer } from '../support/registry-server.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { testClient } from '../support/registry-client.ts';
import { tempFolder } from '../support/temp.ts';
import { build } from '../../src/index.ts';

let server: RegistryServer;
let registry: CountingRegistry;

/** Two stages; `last` is in the last instruction alone. */
const project = (last = 'one'): Record<string, string> => ({
  Dockerfile: [
    `FROM ${server.host}/base:1 AS tools`,
    'COPY a.txt /in/',
    'RUN cat /in/a.txt >/made && head -c 100000 /dev/urandom >>/made',
    `FROM ${server.host}/base:1`,
    'WORKDIR /srv',
    'RUN head -c 200000 /dev/urandom >/srv/noise',
    'COPY --from=tools /made /srv/made',
    `RUN echo ${last} >/srv/last`,
  ].join('\n'),
  'a.txt': 'what is in it\n',
});

const toRegistry = (name: string, mode: 'min' | 'max' = 'max'): BuildOptions => ({
  cacheTo: [{ type: 'registry', ref: `${registry.host}/${name}`, mode }],
});
const fromRegistry = (...names: string[]): BuildOptions => ({
  cacheFrom: names.map((name) => ({ type: 'registry', ref: `${registry.host}/${name}` })),
});

suite('caches of other machines', ['root', tool('runc'), tool('docker-registry')], () => {
  beforeAll(async () => {
    server = await startRegistry();
    registry = await countingRegistry(server.host);
    await using folder = await tempFolder('base');
    await copyFile(busyboxRootfs(), `${folder.path}/rootfs.tar`);
    await build({
      root: `${folder.path}/store`,
      context: folder.path,
      dockerfile: { text: 'FROM scratch\nADD rootfs.tar /\n' },
      tags: [`${server.host}/base:1`],
      outputs: [{ type: 'registry' }],
    });
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  test('a cold machine runs nothing, and downloads the layers of its output and nothing else', async () => {
    await using warm = await newMachine();
    await using cold = await newMachine();
    const first = await warm.build(project(), toRegistry('cold:cache'));
    expect(first.warnings).toEqual([]);
    expect(first.internal).toContain(`exporting registry cache ${registry.host}/cold:cache`);
    registry.answers();
    const second = await cold.build(project(), fromRegistry('cold:cache'));
    expect(second).toMatchObject({ digest: first.digest, warnings: [], ran: [] });
    expect(second.ends.at(-1)).toMatch(/RUN echo one .*: cached from registry cache .*\/cold:cache$/);
    const fetched = registry.answers().filter(({ method, status }) => method === 'GET' && status === 200);
    // One manifest, one blob of records, the own layers of the image: WORKDIR, RUN, COPY, RUN.
    await using client = testClient();
    const { document } = await client.getManifest(parseReference(`${server.host}/cold:cache`), 'cache');
    if (document.kind !== 'manifest') throw new Error('no manifest');
    const records = document.manifest.layers.at(-1);
    expect(records?.mediaType).toBe('application/vnd.tsbuild.cache.records.v1+gzip');
    const own = await ownLayers(cold.path, second.digest);
    const blobs = fetched.filter(({ path }) => path.includes('/blobs/'));
    expect(blobs.map(({ path }) => path.slice(-71)).toSorted()).toEqual(
      [records, ...own].map((blob) => String(blob?.digest)).toSorted(),
    );
    expect(sum(blobs)).toBe(sum([records, ...own].map((blob) => ({ bytes: blob?.size ?? 0 }))));
    expect(fetched.filter(({ path }) => path.includes('/manifests/'))).toHaveLength(1);
    // From now on it is known here, and nobody is asked.
    const third = await cold.build(project(), fromRegistry('cold:cache'));
    expect(third).toMatchObject({ digest: first.digest, ran: [] });
    expect(registry.answers()).toEqual([]);
  });
});

function sum(items: readonly { readonly bytes: number }[]): number {
  return items.reduce((total, { bytes }) => total + bytes, 0);
}

/** The layers of an image in a machine's store, without that of the base. */
async function ownLayers(machine: string, digest: string | undefined): Promise<readonly Descriptor[]> {
  const blob = join(machine, 'store/blobs/sha256', digest?.slice(7) ?? '');
  return (JSON.parse(await readFile(blob, 'utf8')) as Manifest).layers.slice(1);
}
