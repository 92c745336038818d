import { copyFile, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BuildOptions, CacheExport, CacheExportSettings, CacheImport } from '../../src/index.ts';
import type { ImageConfig } from '../../src/oci/config.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { Index, Manifest } from '../../src/oci/manifest.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { busyboxRootfs } from '../support/base-images.ts';
import type { CountingRegistry } from '../support/counting-registry.ts';
import { countingRegistry } from '../support/counting-registry.ts';
import { startGhaService } from '../support/gha-service.ts';
import type { Machine, MachineBuild } from '../support/machine.ts';
import { newMachine } from '../support/machine.ts';
import type { RegistryServer } from '../support/registry-server.ts';
import { startRegistry } from '../support/registry-server.ts';
import { startS3 } from '../support/s3-server.ts';
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
    const records = (await manifestAt(`${server.host}/cold:cache`)).layers.at(-1);
    expect(records?.mediaType).toBe('application/vnd.tsbuild.cache.records.v1+gzip');
    const own = (await manifestOf(cold, second)).layers.slice(1);
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

  test('mode=max has the steps of other stages: those below an edit are cached; min has those of the image alone', async () => {
    await using warm = await newMachine();
    await warm.build(project(), toRegistry('modes:max'));
    await warm.build(project(), toRegistry('modes:min', 'min'));
    const edited = project('two');
    // A step in the middle of the image, and so all behind it: the other stage is asked for again.
    edited['Dockerfile'] =
      edited['Dockerfile']?.replace('WORKDIR /srv', 'WORKDIR /srv\nRUN echo new >/new') ?? '';
    await using max = await newMachine();
    const first = await max.build(edited, fromRegistry('modes:max'));
    expect(first.ran.map(command)).toEqual(['echo new', 'head -c', 'echo two']);
    expect(first.ends.join('\n')).toMatch(
      /COPY a.txt \/in\/: cached\n.*RUN cat .*: cached from registry cache/,
    );
    await using min = await newMachine();
    const second = await min.build(edited, fromRegistry('modes:min'));
    expect(second.ran.map(command).toSorted()).toEqual(['cat /in/a.txt', 'echo new', 'echo two', 'head -c']);
    expect(second.ends.join('\n')).toMatch(/WORKDIR \/srv: cached from/);
  });

  test('a step that is run again and yields what it had leaves the steps on it cached, by a cache too', async () => {
    const file = (text: string): Record<string, string> => ({
      Dockerfile: [
        `FROM ${server.host}/base:1 AS tools`,
        `RUN echo same >/made # ${text}`,
        `FROM ${server.host}/base:1`,
        'COPY --from=tools /made /made',
        'RUN head -c 1000 /dev/urandom >/noise',
      ].join('\n'),
    });
    await using warm = await newMachine();
    const first = await warm.build(file('one'), toRegistry('cutoff:1'));
    await using cold = await newMachine();
    const second = await cold.build(file('two'), fromRegistry('cutoff:1'));
    expect(second.ran.map(command)).toEqual(['echo same']);
    expect(second.ends.at(-1)).toMatch(/RUN head .*: cached from registry cache/);
    expect(await layerDigests(cold, second)).toEqual(await layerDigests(warm, first));
  });

  test('a step that is run says what differs from the record of the cache', async () => {
    await using warm = await newMachine();
    await warm.build(project(), toRegistry('why:1'));
    await using cold = await newMachine();
    const built = await cold.build({ ...project(), 'a.txt': 'other\n' }, fromRegistry('why:1'));
    expect(built.ran.map(command)).toEqual(['cat /in/a.txt', 'echo one']);
    expect(built.reasons.join('\n')).toMatch(/a\.txt/);
  });

  test('several caches are one', async () => {
    await using one = await newMachine();
    await using two = await newMachine();
    const other = { Dockerfile: `FROM ${server.host}/base:1\nRUN head -c 1000 /dev/urandom >/other` };
    await one.build(project(), toRegistry('merge:one'));
    const made = await two.build(other, toRegistry('merge:two'));
    const both = {
      ...project(),
      Dockerfile: `${project()['Dockerfile'] ?? ''}\n${other.Dockerfile} # \n`.replace(' # ', ''),
    };
    both.Dockerfile += 'COPY --from=1 /srv/made /both\n';
    await using cold = await newMachine();
    const built = await cold.build(both, fromRegistry('merge:none', 'merge:one', 'merge:two'));
    expect(built.ran).toEqual([]);
    for (const name of ['merge:one', 'merge:two'])
      expect(built.ends.join('\n')).toContain(`cached from registry cache ${registry.host}/${name}`);
    // The one that is not there is told once, and that is all.
    expect(built.warnings).toEqual([
      expect.stringMatching(/^the registry cache .*merge:none is not used: there is no cache yet$/),
    ]);
    expect((await layerDigests(cold, built)).slice(0, 2)).toEqual(await layerDigests(two, made));
  });

  test('an export has what an import had, also of steps that nobody looked at', async () => {
    await using warm = await newMachine();
    await warm.build(project(), toRegistry('again:one'));
    await using middle = await newMachine();
    await middle.build(project(), {
      ...fromRegistry('again:one'),
      ...toRegistry('again:two'),
      outputs: [{ type: 'cacheonly' }],
    });
    await using cold = await newMachine();
    const built = await cold.build(
      { ...project(), Dockerfile: project()['Dockerfile']?.replace('RUN head', 'RUN true && head') ?? '' },
      fromRegistry('again:two'),
    );
    expect(built.ran.map(command)).toEqual(['true &&', 'echo one']);
  });

  test.each<[string, CacheExport, CacheImport, BuildOptions]>([
    ['zstd', exportTo({ compression: 'zstd', compressionLevel: 3 }), importFrom, {}],
    ['zstd of all', exportTo({ compression: 'zstd', forceCompression: true }), importFrom, {}],
    ['no compression', exportTo({ compression: 'uncompressed', forceCompression: true }), importFrom, {}],
    ['an index', exportTo({ imageManifest: false }), importFrom, {}],
    ["Docker's types", exportTo({ ociMediaTypes: false }), importFrom, {}],
  ])('in the form of %s', async (name, to, from) => {
    const tag = { ref: `${registry.host}/forms:${name.replace(/\W/g, '')}` };
    await using warm = await newMachine();
    const first = await warm.build(project(), { cacheTo: [{ ...to, ...tag }] });
    await using cold = await newMachine();
    const second = await cold.build(project(), {
      cacheFrom: [{ ...from, ...tag }],
      sourceDateEpoch: undefined,
    });
    expect([...first.warnings, ...second.warnings, ...second.ran]).toEqual([]);
    expect(await diffIds(cold, second)).toEqual(await diffIds(warm, first));
  });

  test('inline: an image is its own cache, with the digest that it had', async () => {
    const image = `${registry.host}/inline:1`;
    const push = { tags: [image], outputs: [{ type: 'registry' as const }] };
    await using warm = await newMachine();
    const first = await warm.build(project(), { ...push, cacheTo: [{ type: 'inline' }] });
    await using cold = await newMachine();
    registry.answers();
    const arg = { buildArgs: { BUILDKIT_INLINE_CACHE: '1' } };
    const second = await cold.build(project(), {
      ...arg,
      ...push,
      cacheFrom: [{ type: 'registry', ref: image }],
    });
    expect(second).toMatchObject({ digest: first.digest, ran: [], warnings: [] });
    // Pushed to where it came from: not one layer has moved.
    const config = (await manifestAt(image)).config.digest;
    const blobs = registry
      .answers()
      .filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'));
    expect(blobs.map(({ path }) => path.slice(-71))).toEqual([config]);
    // Edited at its end, all before that is cached.
    const third = await cold.build(project('two'), { cacheFrom: [{ type: 'registry', ref: image }] });
    expect(third.ran.map(command)).toEqual(['echo two']);
    const none = await cold.build(project('three'), {
      cacheFrom: [{ type: 'registry', ref: `${server.host}/base:1` }],
    });
    expect(none.warnings).toEqual([expect.stringContaining('the image has no inline cache')]);
  });

  test('local: a directory by tag and by digest; reset keeps what is named', async () => {
    await using warm = await newMachine();
    const dest = join(warm.path, 'cache');
    const first = await warm.build(project(), { cacheTo: [{ type: 'local', dest, mode: 'max' }] });
    await warm.build(project('two'), { cacheTo: [{ type: 'local', dest, tag: 'other' }] });
    const files = async (): Promise<number> => (await readdir(join(dest, 'blobs/sha256'))).length;
    const before = await files();
    const index = JSON.parse(await readFile(join(dest, 'index.json'), 'utf8')) as Index;
    const digest = index.manifests[0]?.digest;
    for (const from of [{}, { digest }]) {
      await using cold = await newMachine();
      const second = await cold.build(project(), { cacheFrom: [{ type: 'local', src: dest, ...from }] });
      expect(second).toMatchObject({ digest: first.digest, ran: [], warnings: [] });
    }
    await warm.build(project(), { cacheTo: [{ type: 'local', dest, tag: 'other', reset: true }] });
    expect(await files()).toBeLessThan(before);
    await using cold = await newMachine();
    expect(
      (await cold.build(project(), { cacheFrom: [{ type: 'local', src: dest, tag: 'other' }] })).ran,
    ).toEqual([]);
    const missing = await cold.build(project('three'), {
      cacheFrom: [{ type: 'local', src: join(dest, 'none') }],
    });
    expect(missing.warnings).toEqual([expect.stringContaining('there is no cache yet')]);
  });

  test('gha: entries of the service by its protocol', async () => {
    await using service = await startGhaService();
    const place = { type: 'gha', url: service.url, token: service.token } as const;
    await using warm = await newMachine();
    await warm.build(project('none'), {
      cacheTo: [
        { ...place, mode: 'max' },
        { ...place, scope: 'tsbuild-other' },
      ],
    });
    const first = await warm.build(project(), { cacheTo: [{ ...place, mode: 'max' }] });
    await using cold = await newMachine();
    const second = await cold.build(project(), { cacheFrom: [place] });
    expect(second).toMatchObject({ digest: first.digest, ran: [], warnings: [] });
    expect(second.ends.at(-1)).toMatch(/from gha cache tsbuild$/);
    expect(service.faults).toEqual([]);
    expect(new Set(service.keys).size).toBe(service.keys.length);
    const wrong = await cold.build(project('four'), { cacheFrom: [{ ...place, token: 'no' }] });
    expect(wrong.warnings).toEqual([expect.stringContaining('status 401: bad token')]);
    const nowhere = await cold.build(project('five'), {
      cacheFrom: [{ type: 'gha' }],
      cacheTo: [{ type: 'gha' }],
    });
    expect(nowhere.warnings).toHaveLength(2);
  });

  test('s3: objects of a bucket, signed', async () => {
    await using s3 = await startS3();
    const place = {
      type: 's3',
      ...{ bucket: s3.bucket, region: 'eu-west-1', endpointUrl: s3.url, usePathStyle: true },
      ...{ accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER', prefix: 'team a/' },
    } as const;
    await using warm = await newMachine();
    const first = await warm.build(project(), { cacheTo: [{ ...place, mode: 'max' }] });
    expect(first.warnings).toEqual([]);
    await using cold = await newMachine();
    const second = await cold.build(project(), { cacheFrom: [{ ...place, name: 'none' }, place] });
    expect(second).toMatchObject({ digest: first.digest, ran: [] });
    expect(second.ends.at(-1)).toMatch(/from s3 cache builds\/team a\/tsbuild$/);
    expect(second.warnings).toEqual([expect.stringContaining('there is no cache yet')]);
    const wrong = await cold.build(project('six'), { cacheFrom: [{ ...place, secretAccessKey: 'no' }] });
    expect(wrong.warnings).toEqual([expect.stringMatching(/status 403: SignatureDoesNotMatch$/)]);
    await expect(
      cold.build(project(), { cacheFrom: [{ ...place, bucket: undefined }] }),
    ).rejects.toMatchObject({
      code: 'USAGE',
      message: 'a cache of type=s3 needs bucket=NAME',
    });
  });

  test.each<[string, string, (body: Buffer) => { status?: number; body: Buffer }]>([
    ['a manifest that is no JSON', 'manifests', () => ({ body: Buffer.from('{"schemaVersion": 2,') })],
    ['a manifest that is a list', 'manifests', () => ({ body: Buffer.from('[]') })],
    ['errors of the server', 'manifests', () => ({ status: 501, body: Buffer.from('no') })],
    ['records that are cut short', 'blobs', (body) => ({ body: body.subarray(0, body.length / 2) })],
    ['records of another digest', 'blobs', (body) => ({ body: Buffer.alloc(body.length, 7) })],
    ['records that are not there', 'blobs', () => ({ status: 404, body: Buffer.from('{}') })],
  ])('broken: %s', async (_name, part, how) => {
    await using warm = await newMachine();
    await warm.build(project(), toRegistry('broken:1'));
    await using cold = await newMachine();
    registry.spoil(`broken/${part}`, how);
    try {
      const built = await cold.build(project(), fromRegistry('broken:1'));
      expect(built.ran).toHaveLength(3);
      expect(built.warnings).toEqual([expect.stringMatching(/^the registry cache .* is not used: /)]);
    } finally {
      registry.spoil(`broken/${part}`, undefined);
    }
  });

  test.each([
    ['cut short', (body: Buffer) => ({ body: body.subarray(0, 1000) })],
    ['other bytes', (body: Buffer) => ({ body: Buffer.alloc(body.length) })],
    ['gone', () => ({ status: 404, body: Buffer.from('{}') })],
  ])('a layer that is %s: its cache is left, and the build goes on', async (_name, how) => {
    await using warm = await newMachine();
    await warm.build(project(), toRegistry('holes:1'));
    const { layers } = await manifestAt(`${server.host}/holes:1`);
    const large = layers.toSorted((a, b) => b.size - a.size)[0]?.digest ?? '';
    await using cold = await newMachine();
    registry.spoil(large, how);
    try {
      const built = await cold.build(project(), fromRegistry('holes:1'));
      expect(built.ran).toHaveLength(3);
      expect(built.warnings).toEqual([
        expect.stringContaining('is not used any more, and its steps are run here'),
      ]);
      expect(built.digest).toMatch(/^sha256:/);
      // Each counts once, though it was asked for twice.
      expect(built.steps.cached + built.steps.run).toBe(new Set(built.ends.map(stepName)).size);
    } finally {
      registry.spoil(large, undefined);
    }
  });

  test('a blob that is no layer of the name it is given is found out, though its digest is right', async () => {
    await using warm = await newMachine();
    const dest = join(warm.path, 'cache');
    await warm.build(project(), { cacheTo: [{ type: 'local', dest }] });
    const index = JSON.parse(await readFile(join(dest, 'index.json'), 'utf8')) as Index;
    const path = join(dest, 'blobs/sha256', index.manifests[0]?.digest.slice(7) ?? '');
    const manifest = JSON.parse(await readFile(path, 'utf8')) as Manifest;
    const [first, second, ...others] = manifest.layers;
    if (first === undefined || second === undefined) throw new Error('two layers');
    const layers = [
      { ...first, annotations: second.annotations },
      { ...second, annotations: first.annotations },
      ...others,
    ];
    const bytes = Buffer.from(JSON.stringify({ ...manifest, layers }));
    await writeFile(join(dest, 'blobs/sha256', digestOf(bytes).slice(7)), bytes);
    const entry = { ...index.manifests[0], digest: digestOf(bytes), size: bytes.length };
    await writeFile(join(dest, 'index.json'), JSON.stringify({ ...index, manifests: [entry] }));
    await using cold = await newMachine();
    const built = await cold.build(project(), { cacheFrom: [{ type: 'local', src: dest }] });
    expect(built.warnings).toEqual([expect.stringContaining('does not hold the layer')]);
    expect(built.ran).toHaveLength(3);
  });

  test('an export that fails is a warning, and an error where that is asked for', async () => {
    await using warm = await newMachine();
    const ref = `127.0.0.1:1/none:1`;
    const built = await warm.build(project(), { cacheTo: [{ type: 'registry', ref }] });
    expect(built.digest).toMatch(/^sha256:/);
    expect(built.warnings).toEqual([expect.stringMatching(/^the registry cache .* was not written: /)]);
    expect(built.internal).toContain(`exporting registry cache ${ref} failed`);
    await expect(
      warm.build(project(), { cacheTo: [{ type: 'registry', ref, ignoreError: false }] }),
    ).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
  });

  test('with --no-cache nobody is asked, and what is known here is never asked for', async () => {
    await using warm = await newMachine();
    await warm.build(project(), toRegistry('quiet:1'));
    registry.answers();
    await warm.build(project(), fromRegistry('quiet:1'));
    await warm.build(project(), { ...fromRegistry('quiet:1'), noCache: true });
    expect(registry.answers()).toEqual([]);
  });
});

const importFrom = { type: 'registry', ref: '' } as const;
function exportTo(settings: CacheExportSettings): CacheExport {
  return { type: 'registry', ref: '', ...settings };
}

function stepName(end: string): string {
  return end.replace(/: \w+( from .*)?$/, '');
}

/** The first two words of a RUN step's name. */
function command(name: string): string {
  return / RUN (\S+ \S+)/.exec(name)?.[1] ?? name;
}

async function manifestAt(reference: string): Promise<Manifest> {
  await using client = testClient();
  const parsed = parseReference(reference);
  const { document } = await client.getManifest(parsed, parsed.tag ?? 'latest');
  if (document.kind !== 'manifest') throw new Error('no manifest');
  return document.manifest;
}

async function manifestOf(machine: Machine, { digest }: MachineBuild): Promise<Manifest> {
  const blob = join(machine.path, 'store/blobs/sha256', digest?.slice(7) ?? '');
  return JSON.parse(await readFile(blob, 'utf8')) as Manifest;
}

async function layerDigests(machine: Machine, built: MachineBuild): Promise<readonly string[]> {
  return (await manifestOf(machine, built)).layers.map(({ digest }) => digest);
}

async function diffIds(machine: Machine, built: MachineBuild): Promise<readonly string[]> {
  const { config } = await manifestOf(machine, built);
  const blob = join(machine.path, 'store/blobs/sha256', config.digest.slice(7));
  return (JSON.parse(await readFile(blob, 'utf8')) as ImageConfig).rootfs.diff_ids;
}

function sum(items: readonly { readonly bytes: number }[]): number {
  return items.reduce((total, { bytes }) => total + bytes, 0);
}
