import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Image } from '../../src/image/image.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { parseReference } from '../../src/oci/reference.ts';
import type { ProgressEvent } from '../../src/progress/event.ts';
import type { RegistryClient, RegistryClientOptions } from '../../src/registry/client.ts';
import { givenCredentials } from '../../src/api/registry-settings.ts';
import { login } from '../../src/registry/login.ts';
import { resolveImage } from '../../src/registry/pull.ts';
import { checkPushAccess, pushImage } from '../../src/registry/push.ts';
import { readAll, streamOf } from '../../src/util/streams.ts';
import { amd64, arm64, failure, makeImage, testClient as client } from '../support/registry-client.ts';
import { freePort } from '../support/free-port.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

const run = promisify(execFile);
const user = { username: 'alice', password: 'p:ss w€rd' };
const code = (name: string): unknown => expect.objectContaining({ code: name });

async function skopeo(...args: string[]): Promise<string> {
  const { stdout } = await run('skopeo', ['--insecure-policy', ...args], { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

const registry = tool('docker-registry');

suite('a registry that asks for nothing', [registry, tool('skopeo')], () => {
  test('R-PUSH-1: what is pushed has the digest that skopeo sees, layers and all', async () => {
    await using server = await startRegistry();
    await using http = client();
    const events: ProgressEvent[] = [];
    const image = await makeImage(['one', 'two', 'x'.repeat(3_000_000)]);
    const reference = parseReference(`${server.host}/team/app:1`);
    const emit = (event: ProgressEvent): unknown => events.push(event);
    const pushed = await pushImage(http, { images: [image], reference, tags: ['latest'], emit });
    expect(pushed.digest).toBe(await image.digest());
    for (const tag of ['1', 'latest']) {
      const raw = await skopeo(
        'inspect',
        '--tls-verify=false',
        '--raw',
        `docker://${server.host}/team/app:${tag}`,
      );
      expect(digestOf(raw)).toBe(pushed.digest);
    }
    await using folder = await tempFolder('skopeo');
    const from = `docker://${server.host}/team/app:1`;
    await skopeo('copy', '--src-tls-verify=false', '--preserve-digests', from, `oci:${folder.path}/out:1`);
    const index = JSON.parse(await readFile(join(folder.path, 'out/index.json'), 'utf8')) as {
      manifests: { digest: Digest }[];
    };
    expect(index.manifests[0]?.digest).toBe(pushed.digest);
    expect([...(await http.listTags(reference))].toSorted()).toEqual(['1', 'latest']);
    const done = events.filter((event) => event.type === 'transfer' && event.done);
    expect(done).toHaveLength(3);
  });

  test('R-PUSH-1: a second push sends nothing, and another repository mounts', async () => {
    await using server = await startRegistry();
    const image = await makeImage(['one', 'two']);
    const reference = parseReference(`${server.host}/team/app:1`);
    await using http = client();
    await pushImage(http, { images: [image], reference });
    const closed: Image = {
      ...image,
      layers: async () =>
        (await image.layers()).map((layer) => ({
          ...layer,
          compressed: () => {
            throw new Error('a layer was read');
          },
        })),
    };
    await pushImage(http, { images: [closed], reference });
    const other = parseReference(`${server.host}/team/other:1`);
    await pushImage(http, { images: [closed], reference: other, mountFrom: () => reference });
    expect((await http.headManifest(other, '1'))?.digest).toBe(await image.digest());
  });

  test('R-PULL-3: pulls what skopeo pushed, lazily', async () => {
    await using server = await startRegistry();
    await using folder = await tempFolder('skopeo');
    const image = await makeImage(['one', 'two'], { mediaTypes: 'docker' });
    await using http = client();
    await pushImage(http, { images: [image], reference: parseReference(`${server.host}/first:1`) });
    const tls = ['--src-tls-verify=false', '--dest-tls-verify=false'];
    await skopeo('copy', ...tls, `docker://${server.host}/first:1`, `dir:${folder.path}`);
    await skopeo('copy', ...tls, `dir:${folder.path}`, `docker://${server.host}/second:2`);
    const found = await resolveImage(http, parseReference(`${server.host}/second:2`), amd64);
    expect(found.descriptor.digest).toBe(await image.digest());
    expect(found.index).toBeUndefined();
    expect(await found.image.config()).toEqual(await image.config());
    const [ours, theirs] = [await image.layers(), await found.image.layers()];
    expect(theirs).toHaveLength(2);
    for (const [index, layer] of theirs.entries()) {
      const plain = await readAll(layer.uncompressed(), 1_000_000);
      expect(digestOf(plain)).toBe(await ours[index]?.diffId());
    }
    expect(
      await http.headManifest({ registry: server.host, repository: 'second' }, 'missing'),
    ).toBeUndefined();
  });

  test('R-PULL-2, R-MT-1: zstd layers, and an index of two platforms', async () => {
    await using server = await startRegistry();
    await using http = client();
    const images = [
      await makeImage(['amd'], { compression: 'zstd' }),
      await makeImage(['arm'], { architecture: 'arm64' }),
    ];
    const reference = parseReference(`${server.host}/multi:1`);
    const pushed = await pushImage(http, { images, reference });
    const raw = await skopeo('inspect', '--tls-verify=false', '--raw', `docker://${server.host}/multi:1`);
    expect(digestOf(raw)).toBe(pushed.digest);
    for (const [index, platform] of [amd64, arm64].entries()) {
      const found = await resolveImage(http, reference, platform);
      expect(found.index?.digest).toBe(pushed.digest);
      expect(found.descriptor.digest).toBe(await images[index]?.digest());
      const [layer] = await found.image.layers();
      const text = (await readAll(layer?.uncompressed() ?? streamOf(), 100_000)).toString();
      expect(text).toContain(['amd', 'arm'][index]);
    }
    const error = await failure(resolveImage(http, reference, { os: 'linux', architecture: 's390x' }));
    expect(error).toMatchObject({
      code: 'IMAGE_PLATFORM',
      details: { available: ['linux/amd64', 'linux/arm64'] },
    });
    await skopeo(
      'copy',
      '--all',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      `docker://${server.host}/multi:1`,
      `docker://${server.host}/copied:1`,
    );
    expect((await http.headManifest(parseReference(`${server.host}/copied:1`), '1'))?.digest).toBe(
      pushed.digest,
    );
  });

  test('R-PULL-1: documents that are known are not fetched again', async () => {
    await using server = await startRegistry();
    await using http = client();
    const image = await makeImage(['one']);
    const reference = parseReference(`${server.host}/app:1`);
    await pushImage(http, { images: [image], reference });
    const known = new Map([
      [await image.digest(), await image.rawManifest()],
      [(await image.manifest()).config.digest, await image.rawConfig()],
    ]);
    const offline: RegistryClient = {
      ...http,
      getManifest: () => Promise.reject(new Error('a manifest was fetched')),
      getBlob: () => {
        throw new Error('a config was fetched');
      },
    };
    const found = await resolveImage(offline, reference, amd64, {
      known: async (digest) => known.get(digest),
    });
    expect(await found.image.config()).toEqual(await image.config());
  });

  test('a blob of unknown digest is sent while it is made', async () => {
    await using server = await startRegistry();
    await using http = client();
    const to = { registry: server.host, repository: 'stream' };
    const sent = await http.uploadStream(to, () => streamOf('some ', 'bytes'));
    expect(sent).toEqual({ digest: digestOf('some bytes'), size: 10 });
    const descriptor = { mediaType: 'application/octet-stream', ...sent };
    expect((await readAll(http.getBlob(to, descriptor), 100)).toString()).toBe('some bytes');
  });

  test('an image that is not there, and a registry that is not there', async () => {
    await using server = await startRegistry();
    await using http = client();
    const missing = await failure(resolveImage(http, parseReference(`${server.host}/nothing:1`), amd64));
    expect(missing).toEqual(code('IMAGE_NOT_FOUND'));
    const port = await freePort();
    const before = performance.now();
    const down = await failure(resolveImage(http, parseReference(`127.0.0.1:${port}/app:1`), amd64));
    expect(down).toEqual(code('REGISTRY_UNREACHABLE'));
    expect(String(down)).toContain('connection refused');
    expect(performance.now() - before).toBeLessThan(20_000);
  });

  test('C-RE-6: checking for access leaves nothing behind', async () => {
    await using server = await startRegistry();
    await using http = client();
    await checkPushAccess(http, parseReference(`${server.host}/app:1`));
    const { repositories } = (await (await fetch(`http://${server.host}/v2/_catalog`)).json()) as {
      repositories: string[];
    };
    expect(repositories).toEqual([]);
  });
});

suite('a registry with passwords', [registry, tool('htpasswd', 'apache2-utils'), tool('skopeo')], () => {
  test('R-AUTH-2, C-RE-1: login, push, pull; wrong and missing passwords are told apart', async () => {
    await using server = await startRegistry({ htpasswd: user });
    await using home = await tempFolder('home');
    const env = { HOME: home.path, PATH: process.env['PATH'] };
    const reference = parseReference(`${server.host}/app:1`);
    const image = await makeImage(['one']);
    {
      await using http = client({ env });
      const error = await failure(checkPushAccess(http, reference));
      expect(error).toEqual(code('REGISTRY_UNAUTHORIZED'));
      expect(error).toMatchObject({ hint: expect.stringContaining(`tsbuild login ${server.host}`) });
    }
    await login(server.host, { username: user.username, password: 'wrong' }, { env });
    {
      await using http = client({ env });
      const error = await failure(pushImage(http, { images: [image], reference }));
      expect(error).toEqual(code('REGISTRY_UNAUTHORIZED'));
      expect(String(error)).toContain(join(home.path, '.docker/config.json'));
      expect(await failure(http.checkLogin(server.host))).toMatchObject({
        code: 'REGISTRY_UNAUTHORIZED',
        message: expect.stringContaining(`${server.host} refuses this login`),
        hint: 'check user name and password; nothing was kept',
      });
    }
    {
      const credentials = { [server.host]: { username: user.username, password: 'wrong' } };
      await using http = client({ env, credentials: givenCredentials({ credentials }, env) });
      // A login would not help: what is given with one call goes before what is kept.
      expect(await failure(checkPushAccess(http, reference))).toMatchObject({
        code: 'REGISTRY_UNAUTHORIZED',
        hint: 'check the name, and user and password of --creds',
      });
    }
    await login(server.host, user, { env });
    await using http = client({ env });
    await http.checkLogin(server.host);
    const pushed = await pushImage(http, { images: [image], reference });
    expect((await resolveImage(http, reference, amd64)).descriptor.digest).toBe(pushed.digest);
    const creds = `${user.username}:${user.password}`;
    const raw = await skopeo(
      'inspect',
      '--creds',
      creds,
      '--tls-verify=false',
      '--raw',
      `docker://${server.host}/app:1`,
    );
    expect(digestOf(raw)).toBe(pushed.digest);
  });
});

suite('a registry with TLS', [registry, tool('openssl')], () => {
  test('R-TLS-1, C-RE-2: its certificate must be known: certs.d, SSL_CERT_FILE, or not at all', async () => {
    await using server = await startRegistry({ tls: true });
    await using folder = await tempFolder('certs');
    const reference = parseReference(`${server.host}/app:1`);
    const image = await makeImage(['one']);
    const push = async (options: Partial<RegistryClientOptions>): Promise<unknown> => {
      await using http = client({ http: { certificateDirectories: [folder.path] }, ...options });
      return await failure(pushImage(http, { images: [image], reference }));
    };
    const error = await push({});
    expect(error).toEqual(code('REGISTRY_UNREACHABLE'));
    expect(error).toMatchObject({ hint: expect.stringContaining('certs.d') });
    const pushed = { digest: await image.digest() };
    expect(await push({ env: { SSL_CERT_FILE: server.ca } })).toBe('it worked');
    expect(await push({ insecure: [server.host] })).toBe('it worked');
    await mkdir(join(folder.path, server.host));
    await writeFile(join(folder.path, server.host, 'ca.crt'), await readFile(server.ca ?? ''));
    expect(await push({})).toBe('it worked');
    await using http = client({ http: { certificateDirectories: [folder.path] } });
    expect((await resolveImage(http, reference, amd64)).descriptor.digest).toBe(pushed.digest);
  });
});
