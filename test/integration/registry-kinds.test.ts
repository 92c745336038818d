import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Image } from '../../src/image/image.ts';
import { parseReference } from '../../src/oci/reference.ts';
import type { RegistryClientOptions } from '../../src/registry/client.ts';
import { resolveImage } from '../../src/registry/pull.ts';
import { pushImage } from '../../src/registry/push.ts';
import { readAll } from '../../src/util/streams.ts';
import type { CommandResult } from '../support/cli.ts';
import { command, must } from '../support/cli.ts';
import { startRedirectingProxy } from '../support/redirecting-proxy.ts';
import { amd64, arm64, makeImage, testClient } from '../support/registry-client.ts';
import type { RegistryServerOptions } from '../support/registry-server.ts';
import { freePort } from '../support/free-port.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';
import { startTokenServer } from '../support/token-server.ts';

const user = { username: 'ada', password: 'correct' };
const login = (host: string): NodeJS.ProcessEnv => ({
  DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { [host]: user } }),
});
const registry = tool('docker-registry');

/** All bytes of an image, as they come through `options`' client. */
async function roundTrip(host: string, options: Partial<RegistryClientOptions>): Promise<void> {
  const image = await makeImage(['one', 'x'.repeat(2_000_000)]);
  const reference = parseReference(`${host}/team/app:1`);
  await using http = testClient(options);
  await pushImage(http, { images: [image], reference });
  await expectPulled(image, `${host}/team/app:1`, options);
}

async function expectPulled(
  image: Image,
  name: string,
  options: Partial<RegistryClientOptions>,
): Promise<void> {
  await using http = testClient(options);
  const found = await resolveImage(http, parseReference(name), amd64);
  expect(found.descriptor.digest).toBe(await image.digest());
  const [ours, theirs] = [await image.layers(), await found.image.layers()];
  for (const [at, layer] of theirs.entries()) {
    const bytes = await readAll(layer.uncompressed(), 10_000_000);
    expect(bytes.equals(await readAll(ours[at]?.uncompressed() ?? layer.compressed(), 10_000_000))).toBe(
      true,
    );
  }
}

suite(
  'each kind of registry takes and gives an image',
  [registry, tool('openssl'), tool('htpasswd', 'apache2-utils')],
  () => {
    test.each<[string, RegistryServerOptions]>([
      ['open', {}],
      ['with htpasswd', { htpasswd: user }],
      ['with TLS of a private CA', { tls: true }],
      ['with htpasswd and TLS', { tls: true, htpasswd: user }],
    ])('%s', async (_, options) => {
      await using server = await startRegistry(options);
      await using folder = await tempFolder('certs');
      if (server.ca !== undefined) {
        await mkdir(join(folder.path, server.host));
        await writeFile(join(folder.path, server.host, 'ca.crt'), await readFile(server.ca));
      }
      await roundTrip(server.host, {
        env: login(server.host),
        http: { certificateDirectories: [folder.path] },
      });
    });

    test('R-AUTH-3: with tokens', async () => {
      await using tokens = await startTokenServer({ users: { [user.username]: user.password } });
      await using server = await startRegistry({ token: tokens.config });
      await roundTrip(server.host, { env: login(server.host) });
    });

    test('R-PULL-3, R-AUTH-9: whose blobs are on another origin, which must not see credentials', async () => {
      await using server = await startRegistry({ htpasswd: user });
      const authorization = `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}`;
      await using face = await startRedirectingProxy(server.host, authorization);
      await roundTrip(face.host, { env: login(face.host) });
      // Two layers and the config.
      expect(face.storage.seen).toHaveLength(3);
      expect(face.storage.seen.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
    });

    test('R-MIR-1: that is a pull-through mirror of another', async () => {
      await using upstream = await startRegistry();
      await using mirror = await startRegistry({ mirrorOf: `http://${upstream.host}` });
      const image = await makeImage(['one', 'two']);
      await using http = testClient();
      await pushImage(http, { images: [image], reference: parseReference(`${upstream.host}/library/app:1`) });
      // The registry itself is out of reach.
      const nobody = `127.0.0.1:${await freePort()}`;
      await expectPulled(image, 'app:1', {
        hostAliases: { 'docker.io': nobody },
        mirrors: { 'docker.io': [mirror.host] },
      });
    });
  },
);

const tools = [registry, tool('skopeo'), tool('podman'), tool('buildah'), 'root'] as const;

suite('skopeo, podman and buildah read what is pushed, and what they push is read', tools, () => {
  test.each(['gzip', 'zstd'] as const)('R-MT-1: an image, %s', async (compression) => {
    await using server = await startRegistry();
    await using folder = await tempFolder('engines');
    const image = await makeImage(['one', 'two'], { compression });
    const digest = await image.digest();
    const name = `${server.host}/team/app:1`;
    await using http = testClient();
    await pushImage(http, { images: [image], reference: parseReference(name) });

    const skopeo = (...args: readonly string[]): Promise<string> => must(command('skopeo', args));
    const seen = JSON.parse(await skopeo('inspect', '--tls-verify=false', `docker://${name}`)) as {
      Digest: string;
    };
    expect(seen.Digest).toBe(digest);

    const storage = ['--root', join(folder.path, 'storage'), '--runroot', join(folder.path, 'run')];
    const driver = ['--storage-driver', 'vfs'];
    const engine = (program: 'podman' | 'buildah', args: readonly string[]): Promise<CommandResult> =>
      command(program, [...storage, ...driver, ...args]);
    try {
      for (const program of ['podman', 'buildah'] as const) {
        const id = (await must(engine(program, ['pull', '-q', '--tls-verify=false', name]))).trim();
        expect(id, program).toBe((await image.manifest()).config.digest.slice('sha256:'.length));
        const pushed = `${server.host}/by/${program}:1`;
        const file = join(folder.path, `${program}.digest`);
        const out = ['--tls-verify=false', '--digestfile', file];
        await must(
          engine(program, [
            'push',
            '-q',
            ...out,
            id,
            ...(program === 'podman' ? [pushed] : [`docker://${pushed}`]),
          ]),
        );
        const found = await resolveImage(http, parseReference(pushed), amd64);
        expect(found.descriptor.digest, program).toBe(await readFile(file, 'utf8'));
        expect(await found.image.rawConfig(), program).toEqual(Buffer.from(await image.rawConfig()));
        const [layer] = await found.image.layers();
        const [own] = await image.layers();
        if (layer === undefined || own === undefined) throw new Error('no layer');
        const plain = await readAll(layer.uncompressed(), 1_000_000);
        expect(plain.equals(await readAll(own.uncompressed(), 1_000_000)), program).toBe(true);
        await must(engine(program, ['rmi', '--all', '--force']));
      }
    } finally {
      await engine('podman', ['rmi', '--all', '--force']);
    }
  });

  test('R-PULL-2, R-MT-1: an index of two platforms, there and back', async () => {
    await using server = await startRegistry();
    await using folder = await tempFolder('engines');
    const images = [
      await makeImage(['amd'], { compression: 'zstd' }),
      await makeImage(['arm'], { architecture: 'arm64' }),
    ];
    await using http = testClient();
    const name = `${server.host}/team/multi:1`;
    const pushed = await pushImage(http, { images, reference: parseReference(name) });
    const layout = `oci:${folder.path}/layout:1`;
    const tls = ['--src-tls-verify=false', '--dest-tls-verify=false', '--all', '--preserve-digests'];
    await must(command('skopeo', ['copy', '-q', ...tls, `docker://${name}`, layout]));
    await must(command('skopeo', ['copy', '-q', ...tls, layout, `docker://${server.host}/by/skopeo:1`]));
    for (const [at, platform] of [amd64, arm64].entries()) {
      const found = await resolveImage(http, parseReference(`${server.host}/by/skopeo:1`), platform);
      expect(found.index?.digest).toBe(pushed.digest);
      expect(found.descriptor.digest).toBe(await images[at]?.digest());
    }
    const storage = ['--root', join(folder.path, 'storage'), '--runroot', join(folder.path, 'run')];
    const engine = [...storage, '--storage-driver', 'vfs'];
    try {
      for (const [at, platform] of ['linux/amd64', 'linux/arm64'].entries()) {
        const pull = ['pull', '-q', '--tls-verify=false', '--platform', platform, name];
        const id = (await must(command('podman', [...engine, ...pull]))).trim();
        expect(`sha256:${id}`).toBe((await images[at]?.manifest())?.config.digest);
      }
    } finally {
      await command('podman', [...engine, 'rmi', '--all', '--force']);
    }
  });
});
