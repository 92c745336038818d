import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import type { CommonOptions, ProgressEvent } from '../../src/index.ts';
import { build, copyImage, inspectImage, pullImage } from '../../src/index.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { mediaType } from '../../src/oci/media-type.ts';
import { parseReference } from '../../src/oci/reference.ts';
import type { RegistryClient } from '../../src/registry/client.ts';
import { noPlaces } from '../../src/registry/configuration.ts';
import { pushImage } from '../../src/registry/push.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { failure, makeImage, testClient } from '../support/registry-client.ts';
import { makeCertificate, startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: mediaType.ociManifest,
  config: { mediaType: mediaType.ociConfig, digest: digestOf('c'), size: 1 },
  layers: [],
});

interface TlsRegistry extends AsyncDisposable {
  /** `localhost:<port>`. */
  readonly host: string;
  /** With server/ and client/: cert.pem and key.pem each. */
  readonly folder: string;
  /** A client that reads this hosts.toml for the registry; `$DIR` is the folder. */
  client(hosts: string): Promise<RegistryClient>;
  /** A client that reads this buildkitd.toml. */
  buildkit(text: string): Promise<RegistryClient>;
}

/** A registry with a certificate of its own making, which asks for one of its client. */
async function tlsRegistry(): Promise<TlsRegistry> {
  const folder = await tempFolder('tls');
  for (const name of ['server', 'client']) {
    await mkdir(join(folder.path, name));
    await makeCertificate(join(folder.path, name), name);
  }
  const read = (path: string): Promise<Buffer> => readFile(join(folder.path, path));
  const server = createServer(
    {
      ...{ key: await read('server/key.pem'), cert: await read('server/cert.pem') },
      ...{ ca: await read('client/cert.pem'), requestCert: true, rejectUnauthorized: false },
    },
    (request, response) => {
      if (!(request.socket as TLSSocket).authorized) response.writeHead(403).end();
      else response.writeHead(200, { 'content-type': mediaType.ociManifest }).end(manifest);
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const host = `localhost:${address.port}`;
  const clients: RegistryClient[] = [];
  return {
    host,
    folder: folder.path,
    async client(hosts) {
      const certs = join(folder.path, `certs${clients.length}.d`);
      await mkdir(join(certs, host), { recursive: true });
      const text = hosts.replaceAll('$DIR', folder.path).replaceAll('$HOST', host);
      await writeFile(join(certs, host, 'hosts.toml'), text);
      const client = testClient({ files: { ...noPlaces, hostsDirectories: [certs] } });
      clients.push(client);
      return client;
    },
    async buildkit(text) {
      const file = join(folder.path, `buildkitd-${clients.length}.toml`);
      await writeFile(file, text.replaceAll('$HOST', host));
      const client = testClient({ files: { ...noPlaces, buildkitd: [file] } });
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) await client[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      await folder[Symbol.asyncDispose]();
    },
  };
}

suite('TLS as hosts.toml sets it', [tool('openssl')], () => {
  test('R-MIR-1, R-TLS-1: the CA, a client certificate as pair or as one file, and each without the other', async () => {
    await using registry = await tlsRegistry();
    const { folder } = registry;
    const both = await Promise.all(
      ['cert', 'key'].map((name) => readFile(join(folder, 'client', `${name}.pem`), 'utf8')),
    );
    await writeFile(join(folder, 'both.pem'), both.join('\n'));
    const ca = 'ca = "$DIR/server/cert.pem"\n';
    const pair = 'client = [["$DIR/client/cert.pem", "$DIR/client/key.pem"]]\n';
    const digest = digestOf(manifest);
    const get = async (hosts: string): Promise<unknown> => {
      const client = await registry.client(`server = "https://$HOST"\n${hosts}`);
      const found = await client
        .getManifest({ registry: registry.host, repository: 'a' }, '1')
        .catch((error: unknown) => error);
      return found instanceof Error ? found : (found as { descriptor: { digest: string } }).descriptor.digest;
    };
    expect(await get(ca + pair)).toBe(digest);
    expect(await get(`${ca}client = "$DIR/both.pem"\n`)).toBe(digest);
    expect(await get(`skip_verify = true\n${pair}`)).toBe(digest);
    expect(await get(ca)).toMatchObject({ code: 'REGISTRY_UNAUTHORIZED' });
    expect(await get(pair)).toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    expect(await get(`ca = "$DIR/none.pem"\n${pair}`)).toMatchObject({ code: 'CREDENTIALS_INVALID' });
  });

  test('R-MIR-1: what one registry’s file allows for a host, another registry’s use of that host does not have', async () => {
    await using registry = await tlsRegistry();
    const lax = await registry.client(
      'skip_verify = true\nclient = [["$DIR/client/cert.pem", "$DIR/client/key.pem"]]\n',
    );
    const at = { registry: registry.host, repository: 'a' };
    await lax.getManifest(at, '1');
    await using strict = testClient({
      files: false,
      mirrors: { 'other.invalid': [`https://${registry.host}`] },
    });
    expect(await failure(strict.getManifest(at, '1'))).toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    // In one client too.
    const toml =
      '[host."https://$HOST"]\nskip_verify = true\nclient = [["$DIR/client/cert.pem", "$DIR/client/key.pem"]]\n';
    const mixed = await registry.client(toml);
    await mixed.getManifest(at, '1');
    const other = { registry: registry.host.replace('localhost', '127.0.0.1'), repository: 'a' };
    expect(await failure(mixed.getManifest(other, '1'))).toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
  });
});

suite('buildkitd.toml', [tool('openssl'), tool('docker-registry')], () => {
  test('R-MIR-1, R-TLS-1: the CA and the key pair of a registry, also where it is a mirror', async () => {
    await using registry = await tlsRegistry();
    const ca = 'ca = ["server/cert.pem"]\n';
    const pair = '[[registry."$HOST".keypair]]\ncert = "client/cert.pem"\nkey = "client/key.pem"\n';
    const mirror = '[registry."r.invalid"]\nmirrors = ["$HOST"]\n';
    const get = async (settings: string, name: string): Promise<unknown> => {
      const client = await registry.buildkit(`${mirror}[registry."$HOST"]\n${settings}`);
      const found = client.getManifest({ registry: name, repository: 'a' }, '1');
      return failure(found.then(({ descriptor }) => expect(descriptor.digest).toBe(digestOf(manifest))));
    };
    for (const name of [registry.host, 'r.invalid']) {
      expect(await get(ca + pair, name)).toBe('it worked');
      expect(await get(`insecure = true\n${pair}`, name)).toBe('it worked');
      expect(await get(ca, name)).toBeInstanceOf(BuildError);
      expect(await get(pair, name)).toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    }
    expect(await get(ca, registry.host)).toMatchObject({ code: 'REGISTRY_UNAUTHORIZED' });
  });

  test('R-MIR-1: what buildx gives its builders mirrors Docker Hub here too, for pull, copy and build', async () => {
    await using mirror = await startRegistry();
    await using folder = await tempFolder('buildx');
    const image = await makeImage(['from the mirror']);
    await using http = testClient();
    const name = `${mirror.host}/cache/library/app:1`;
    const { digest } = await pushImage(http, { images: [image], reference: parseReference(name) });
    const buildx = join(folder.path, '.docker/buildx');
    await mkdir(buildx, { recursive: true });
    const file = join(buildx, 'buildkitd.default.toml');
    await writeFile(file, `[registry."docker.io"]\nmirrors = ["${mirror.host}/cache"]\n`);
    const common = (store: string): CommonOptions => ({
      ...{ root: join(folder.path, store), env: { HOME: folder.path }, mirrorsOnly: true },
    });
    expect((await pullImage({ ...common('pull'), image: 'app:1' })).digest).toBe(digest);
    // One image is taken whatever it is for (R-PULL-2), and that is told.
    const told: string[] = [];
    const onEvent = (event: ProgressEvent): void => {
      if (event.type === 'diagnostic') told.push(event.diagnostic.message);
    };
    for (const platform of ['linux/amd64', 'linux/arm64'])
      await pullImage({ ...common('pull'), image: 'app:1', platform, onEvent });
    expect(told).toEqual([
      'docker.io/library/app:1 is one image for linux/amd64: there is none for linux/arm64',
    ]);
    const destination = `oci:${folder.path}/layout`;
    expect((await copyImage({ ...common('copy'), source: 'app:1', destination })).digest).toBe(digest);
    const context = join(folder.path, 'context');
    await mkdir(context);
    await writeFile(join(context, 'Dockerfile'), 'FROM app:1\nCOPY Dockerfile /\n');
    const built = await build({ ...common('build'), context, tags: ['built'] });
    expect((await inspectImage({ ...common('build'), image: 'built' })).digest).toBe(built.digest);
    // The registry is not asked for what its mirror has not.
    const absent = pullImage({ ...common('pull'), image: 'none:1' });
    await expect(absent).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: expect.stringContaining(mirror.host),
    });
  });
});
