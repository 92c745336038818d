import { mkdir, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../../src/oci/digest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import { parseReference } from '../../src/oci/reference.ts';
import type { RegistryClient, RegistryClientOptions } from '../../src/registry/client.ts';
import { noPlaces } from '../../src/registry/configuration.ts';
import { resolveImage } from '../../src/registry/pull.ts';
import { artifactManifest, listReferrers, putDocument, referrersTag } from '../../src/registry/referrers.ts';
import { readAll } from '../../src/util/streams.ts';
import { startHttpServer } from '../support/http-server.ts';
import type { HttpServer } from '../support/http-server.ts';
import { amd64, failure, testClient } from '../support/registry-client.ts';
import { tempFolder } from '../support/temp.ts';

const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: mediaType.ociManifest,
  config: { mediaType: mediaType.ociConfig, digest: digestOf('c'), size: 1 },
  layers: [],
});
const digest = digestOf(manifest);
type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Asks for Basic authentication, and has the manifest under any name. */
const closed: Handler = (request, response) => {
  if (request.headers.authorization === undefined) {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
  } else response.writeHead(200, { 'content-type': mediaType.ociManifest }).end(manifest);
};
const open: Handler = (_, response) =>
  response.writeHead(200, { 'content-type': mediaType.ociManifest }).end(manifest);
const absent: Handler = (_, response) => response.writeHead(404).end();
const challenge: Handler = (_, response) =>
  response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();

const authorizations = ({ seen }: HttpServer): readonly string[] =>
  seen.flatMap(({ headers }) => headers.authorization ?? []);
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

interface Machine extends AsyncDisposable {
  client(options?: Partial<RegistryClientOptions>): RegistryClient;
}

/** A home folder with these files; `$X` in them are the hosts. */
async function machine(
  files: Readonly<Record<string, string>>,
  hosts: Readonly<Record<string, string>>,
): Promise<Machine> {
  const folder = await tempFolder('places');
  for (const [name, text] of Object.entries(files)) {
    const fill = (value: string): string =>
      Object.entries(hosts).reduce((done, [key, host]) => done.replaceAll(`$${key}`, host), value);
    const path = join(folder.path, fill(name));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, fill(text));
  }
  const clients: RegistryClient[] = [];
  return {
    client: (options) => {
      const client = testClient({
        ...options,
        env: { HOME: folder.path, PATH: process.env['PATH'] },
        files: {
          ...noPlaces,
          hostsDirectories: [join(folder.path, 'certs.d')],
          buildkitd: [join(folder.path, 'buildkitd.toml')],
          registriesConf: [join(folder.path, 'registries.conf')],
        },
      });
      clients.push(client);
      return client;
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) await client[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const auths = (entries: Readonly<Record<string, string>>): string =>
  JSON.stringify({
    auths: Object.fromEntries(
      Object.entries(entries).map(([host, pair]) => [host, { auth: Buffer.from(pair).toString('base64') }]),
    ),
  });

describe('credentials are those of the place that is asked, never another’s', () => {
  const ways = {
    'hosts.toml': { 'certs.d/$OWN/hosts.toml': '[host."http://$MIRROR"]\n' },
    'a server of hosts.toml': { 'certs.d/$OWN/hosts.toml': 'server = "http://$MIRROR"\n' },
    'a mirror of registries.conf': {
      'registries.conf': '[[registry]]\nlocation = "$OWN"\n[[registry.mirror]]\nlocation = "$MIRROR"\n',
    },
    'a mirror of buildkitd.toml': {
      'buildkitd.toml': '[registry."$OWN"]\nmirrors = ["$MIRROR"]\n[registry."$MIRROR"]\nhttp = true\n',
    },
    'a location of registries.conf': {
      'registries.conf': '[[registry]]\nprefix = "$OWN"\nlocation = "$MIRROR"\n',
    },
  };
  test.each(Object.entries(ways))('R-MIR-1, R-AUTH-9: %s without its own sees none', async (_, files) => {
    await using own = await startHttpServer(closed);
    await using mirror = await startHttpServer(challenge);
    const config = { '.docker/config.json': auths({ [own.host]: 'me:secret' }) };
    await using here = await machine({ ...files, ...config }, { OWN: own.host, MIRROR: mirror.host });
    await failure(here.client().getManifest({ registry: own.host, repository: 'a' }, '1'));
    expect(mirror.seen.length).toBeGreaterThan(0);
    expect(authorizations(mirror)).toEqual([]);
  });

  test.each(Object.entries(ways))('R-MIR-1: %s with its own sees those', async (_, files) => {
    await using own = await startHttpServer(closed);
    await using mirror = await startHttpServer(closed);
    const config = {
      '.docker/config.json': auths({ [own.host]: 'me:secret', [mirror.host]: 'mirror:pw' }),
    };
    await using here = await machine({ ...files, ...config }, { OWN: own.host, MIRROR: mirror.host });
    const found = await here.client().getManifest({ registry: own.host, repository: 'a' }, '1');
    expect(found.descriptor.digest).toBe(digest);
    expect(new Set(authorizations(mirror))).toEqual(new Set([basic('mirror:pw')]));
    expect(authorizations(own)).toEqual([]);
  });
});

describe('hosts.toml', () => {
  test('R-MIR-1: headers, another root and the registry’s name go to that host alone; it is asked first', async () => {
    await using own = await startHttpServer(open);
    await using mirror = await startHttpServer((request, response) =>
      request.url?.startsWith('/api/hub/a/manifests/2') === true
        ? open(request, response)
        : absent(request, response),
    );
    const toml = `[host."http://$MIRROR/api/hub"]\noverride_path = true\n[host."http://$MIRROR/api/hub".header]\nx-key = "k"\n`;
    await using here = await machine(
      { 'certs.d/$OWN/hosts.toml': toml },
      { OWN: own.host, MIRROR: mirror.host },
    );
    const client = here.client();
    const from = { registry: own.host, repository: 'a' };
    expect((await client.getManifest(from, '2')).descriptor.digest).toBe(digest);
    expect(own.seen).toEqual([]);
    expect((await client.getManifest(from, '1')).descriptor.digest).toBe(digest);
    const asked = mirror.seen.filter(({ path }) => path.includes('/manifests/'));
    expect(asked.map(({ path }) => path)).toEqual([
      `/api/hub/a/manifests/2?ns=${own.host}`,
      `/api/hub/a/manifests/1?ns=${own.host}`,
    ]);
    expect(asked.every(({ headers }) => headers['x-key'] === 'k')).toBe(true);
    expect(own.seen.map(({ path }) => path)).toEqual(['/v2/', '/v2/a/manifests/1']);
    expect(own.seen.every(({ headers }) => headers['x-key'] === undefined)).toBe(true);
  });

  test('R-MIR-1: a push does not go to a mirror, but to a host that says it takes pushes', async () => {
    const taken: Handler = (request, response) => {
      request.resume();
      response.writeHead(request.method === 'PUT' ? 201 : 200).end();
    };
    await using own = await startHttpServer(taken);
    await using mirror = await startHttpServer(taken);
    await using writer = await startHttpServer(taken);
    const hosts = { OWN: own.host, MIRROR: mirror.host, WRITER: writer.host };
    const puts = ({ seen }: HttpServer): number => seen.filter(({ method }) => method === 'PUT').length;
    const send = async (toml: string): Promise<readonly number[]> => {
      await using here = await machine({ 'certs.d/$OWN/hosts.toml': toml }, hosts);
      const raw = { mediaType: mediaType.ociManifest, bytes: Buffer.from(manifest) };
      await here.client().putManifest({ registry: own.host, repository: 'a' }, '1', raw);
      return [own, mirror, writer].map(puts);
    };
    expect(await send('[host."http://$MIRROR"]\n')).toEqual([1, 0, 0]);
    expect(await send('[host."http://$MIRROR"]\n[host."http://$WRITER"]\ncapabilities = ["push"]\n')).toEqual(
      [1, 0, 1],
    );
  });

  test('a broken file stops what it is about: nothing is asked anywhere', async () => {
    await using own = await startHttpServer(open);
    await using here = await machine({ 'certs.d/$OWN/hosts.toml': 'server =' }, { OWN: own.host });
    const error = await failure(here.client().getManifest({ registry: own.host, repository: 'a' }, '1'));
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(own.seen).toEqual([]);
  });
});

test('R-MIR-1: with mirrors alone the registry is not asked, neither for manifests nor for blobs, tags and referrers', async () => {
  await using own = await startHttpServer(open);
  await using mirror = await startHttpServer(absent);
  const text = '[registry."$OWN"]\nmirrors = ["$MIRROR"]\n';
  await using here = await machine({ 'buildkitd.toml': text }, { OWN: own.host, MIRROR: mirror.host });
  const from = { registry: own.host, repository: 'a' };
  const client = here.client({ mirrorsOnly: true });
  expect(await failure(client.getManifest(from, '1'))).toMatchObject({
    code: 'IMAGE_NOT_FOUND',
    message: expect.stringContaining(mirror.host) as string,
  });
  const blob = client.getBlob(from, { mediaType: 'x', digest, size: 3 });
  const refused = { code: 'REGISTRY_ERROR', details: { status: 404 } };
  expect(await failure(readAll(blob, 10))).toMatchObject(refused);
  expect(await failure(client.listTags(from))).toMatchObject({ code: 'IMAGE_NOT_FOUND' });
  expect(await client.getReferrers(from, digest)).toBeUndefined();
  expect(own.seen).toEqual([]);
  expect((await here.client().getManifest(from, '1')).descriptor.digest).toBe(digest);
});

test('R-MIR-1: a blocked registry is never contacted', async () => {
  await using own = await startHttpServer(open);
  const conf = '[[registry]]\nlocation = "$OWN/secret"\nblocked = true\n';
  await using here = await machine({ 'registries.conf': conf }, { OWN: own.host });
  const client = here.client();
  const at = { registry: own.host, repository: 'secret/a' };
  expect(await failure(client.getManifest(at, '1'))).toMatchObject({ code: 'REGISTRY_BLOCKED' });
  expect(await failure(client.checkPush(at))).toMatchObject({ code: 'REGISTRY_BLOCKED' });
  expect(own.seen).toEqual([]);
  expect((await client.getManifest({ ...at, repository: 'a' }, '1')).descriptor.digest).toBe(digest);
});

test('R-MIR-1: a short name is Docker Hub’s; where it has none, the alias of registries.conf is told', async () => {
  await using hub = await startHttpServer(absent);
  await using folder = await tempFolder('aliases');
  const conf = join(folder.path, 'registries.conf');
  await writeFile(conf, '[aliases]\nfedora = "r.example/fedora"\nalpine = "docker.io/library/alpine"\n');
  await using client = testClient({
    hostAliases: { 'docker.io': hub.host },
    files: { ...noPlaces, registriesConf: [conf] },
  });
  const hint = async (name: string): Promise<string | undefined> =>
    ((await failure(resolveImage(client, parseReference(name), amd64))) as { hint?: string }).hint;
  expect(await hint('fedora:40')).toBe(
    'registries.conf calls it r.example/fedora: write that, if it is what you mean',
  );
  const ls = 'check name and tag; `tsbuild ls docker.io';
  expect(await hint('alpine')).toBe(`${ls}/library/alpine\` lists its tags`);
  expect(await hint('team/fedora')).toBe(`${ls}/team/fedora\` lists its tags`);
  expect(await hint(`team/fedora@${digest}`)).toBe('check name and tag');
  expect(hub.seen.length).toBeGreaterThan(3);
});

describe('referrers by the registry’s own list', () => {
  const entry = (text: string, artifactType: string): object => ({
    mediaType: mediaType.ociManifest,
    digest: digestOf(text),
    size: 1,
    artifactType,
  });
  const page = (manifests: readonly object[]): string =>
    JSON.stringify({ schemaVersion: 2, mediaType: mediaType.ociIndex, manifests });

  test('R-REF-1: all pages; the type is asked for and looked at', async () => {
    await using server = await startHttpServer((request, response) => {
      if (request.url === '/v2/') return response.end();
      const next = `</v2/a/referrers/${digest}?page=2>; rel="next"`;
      const second = request.url?.includes('page=2') === true;
      response.writeHead(200, { 'content-type': mediaType.ociIndex, ...(second ? {} : { link: next }) });
      return response.end(
        page(second ? [entry('3', 'x/y')] : [entry('1', 'x/y'), entry('2', 'other/type'), entry('1', 'x/y')]),
      );
    });
    await using client = testClient();
    const subject = { registry: server.host, repository: 'a', digest };
    const all = await listReferrers(client, subject);
    expect(all.map((item) => item.digest)).toEqual(['1', '2', '3'].map((text) => digestOf(text)));
    const some = await listReferrers(client, subject, { artifactType: 'x/y' });
    expect(some.map((item) => item.digest)).toEqual(['1', '3'].map((text) => digestOf(text)));
    expect(server.seen.some(({ path }) => path === `/v2/a/referrers/${digest}?artifactType=x%2Fy`)).toBe(
      true,
    );
    expect(server.seen.every(({ path }) => !path.includes(referrersTag(digest)))).toBe(true);
  });

  test('R-REF-1: a page elsewhere is not asked for', async () => {
    await using elsewhere = await startHttpServer(open);
    await using server = await startHttpServer((request, response) => {
      if (request.url === '/v2/') return response.end();
      const link = `<http://${elsewhere.host}/v2/a/referrers/x>; rel="next"`;
      return response
        .writeHead(200, { 'content-type': mediaType.ociIndex, link })
        .end(page([entry('1', 'x/y')]));
    });
    await using client = testClient();
    expect(await listReferrers(client, { registry: server.host, repository: 'a', digest })).toHaveLength(1);
    expect(elsewhere.seen).toEqual([]);
  });

  test('R-REF-1: a registry that says so keeps the list itself; no tag is written', async () => {
    const stored: Record<string, string> = {};
    await using server = await startHttpServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        if (request.method === 'PUT') stored[request.url ?? ''] = body;
        response.writeHead(request.method === 'PUT' ? 201 : 404, { 'oci-subject': digest }).end();
      });
    });
    await using client = testClient();
    const subject = { mediaType: mediaType.ociManifest, digest, size: manifest.length };
    const raw = artifactManifest(
      { artifactType: 'x/y', blobs: [], annotations: { b: '1', a: '2' } },
      subject,
    );
    await putDocument(client, { registry: server.host, repository: 'a' }, raw);
    expect(Object.keys(stored)).toEqual([`/v2/a/manifests/${raw.descriptor.digest}`]);
    expect(digestOf(Object.values(stored)[0] ?? '')).toBe(raw.descriptor.digest);
  });

  test('R-REF-1: an image in the place of the list is refused', async () => {
    await using server = await startHttpServer((request, response) =>
      request.url?.includes('/referrers/') === true ? absent(request, response) : open(request, response),
    );
    await using client = testClient();
    const subject = { registry: server.host, repository: 'a', digest };
    expect(await failure(listReferrers(client, subject))).toMatchObject({ code: 'IMAGE_INVALID' });
  });
});
