import { expect, test } from 'vitest';
import { parseReference } from '../../src/oci/reference.ts';
import { resolveImage } from '../../src/registry/pull.ts';
import { checkPushAccess, pushImage } from '../../src/registry/push.ts';
import { readAll } from '../../src/util/streams.ts';
import { amd64, failure, makeImage, testClient as client } from '../support/registry-client.ts';
import { freePort } from '../support/free-port.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { startTokenServer } from '../support/token-server.ts';

const user = { username: 'alice', password: 'p:ss w€rd' };
const code = (name: string): unknown => expect.objectContaining({ code: name });
const registry = tool('docker-registry');

suite('a registry with a token server, as Docker Hub has', [registry, tool('openssl')], () => {
  const known = (server: string): NodeJS.ProcessEnv => ({
    DOCKER_AUTH_CONFIG: JSON.stringify({
      auths: { [server]: { auth: Buffer.from(`${user.username}:${user.password}`).toString('base64') } },
    }),
  });

  test('R-AUTH-3, R-NAME-1: a short name is pulled anonymously; pushing it needs a login', async () => {
    await using tokens = await startTokenServer({ users: { [user.username]: user.password } });
    await using server = await startRegistry({ token: tokens.config });
    const hostAliases = { 'docker.io': server.host };
    const reference = parseReference('busybox');
    const image = await makeImage(['one', 'two', 'three']);
    {
      await using http = client({ env: known('https://index.docker.io/v1/'), hostAliases });
      await pushImage(http, { images: [image], reference });
      expect(tokens.seen.at(-1)?.scopes).toEqual(['repository:library/busybox:pull,push']);
      // One token serves a whole push.
      expect(tokens.seen).toHaveLength(1);
      await pushImage(http, { images: [image], reference: parseReference('alice/private:1') });
    }
    await using http = client({ hostAliases });
    const found = await resolveImage(http, reference, amd64);
    expect(found.descriptor.digest).toBe(await image.digest());
    const layers = await found.image.layers();
    await Promise.all(layers.map((layer) => readAll(layer.compressed(), 100_000)));
    const anonymous = tokens.seen.filter(({ authorization }) => authorization === undefined);
    expect(anonymous.map(({ scopes }) => scopes)).toEqual([['repository:library/busybox:pull']]);
    expect(await failure(checkPushAccess(http, reference))).toEqual(code('REGISTRY_UNAUTHORIZED'));
    const hidden = await failure(resolveImage(http, parseReference('alice/private:1'), amd64));
    expect(hidden).toEqual(code('REGISTRY_UNAUTHORIZED'));
    expect(String(hidden)).toContain(
      'docker.io/alice/private:1 does not exist, or cannot be read without credentials',
    );
  });

  test('R-MIR-1: a mirror of Docker Hub', async () => {
    await using tokens = await startTokenServer({ users: { [user.username]: user.password } });
    await using server = await startRegistry({ token: tokens.config });
    const image = await makeImage(['one']);
    await using writer = client({ env: known(server.host) });
    await pushImage(writer, { images: [image], reference: parseReference(`${server.host}/library/busybox`) });
    const down = `127.0.0.1:${await freePort()}`;
    await using http = client({
      mirrors: { 'docker.io': [down, server.host] },
      hostAliases: { 'docker.io': down },
    });
    const found = await resolveImage(http, parseReference('busybox'), amd64);
    expect(found.descriptor.digest).toBe(await image.digest());
  });

  test('R-PUSH-2: mounting asks for the source in the same token', async () => {
    await using tokens = await startTokenServer({ users: { [user.username]: user.password } });
    await using server = await startRegistry({ token: tokens.config });
    await using http = client({ env: known(server.host) });
    const image = await makeImage(['one']);
    const source = parseReference(`${server.host}/alice/one:1`);
    await pushImage(http, { images: [image], reference: source });
    await pushImage(http, {
      images: [image],
      reference: parseReference(`${server.host}/alice/two:1`),
      mountFrom: () => source,
    });
    expect(tokens.seen.map(({ scopes }) => scopes)).toContainEqual([
      'repository:alice/two:pull,push',
      'repository:alice/one:pull',
    ]);
  });

  test('R-AUTH-3, R-MISC-1: what a deletion needs is asked for when the registry demands it', async () => {
    await using tokens = await startTokenServer({ users: { [user.username]: user.password } });
    await using server = await startRegistry({ token: tokens.config });
    const reference = parseReference(`${server.host}/alice/one:1`);
    await using http = client({ env: known(server.host) });
    const { digest } = await pushImage(http, { images: [await makeImage(['one'])], reference });
    await http.deleteManifest(reference, digest);
    expect(tokens.seen.map(({ scopes }) => scopes)).toEqual([
      ['repository:alice/one:pull,push'],
      ['repository:alice/one:delete', 'repository:alice/one:pull,push'],
    ]);
    expect(await http.headManifest(reference, '1')).toBeUndefined();
    await using nobody = client();
    expect(await failure(nobody.deleteManifest(reference, digest))).toEqual(code('REGISTRY_UNAUTHORIZED'));
  });

  test('R-AUTH-3: tokens that run out are renewed', async () => {
    await using tokens = await startTokenServer({ users: { [user.username]: user.password }, lifetime: 1 });
    await using server = await startRegistry({ token: tokens.config });
    await using http = client({ env: known(server.host) });
    const image = await makeImage(['one']);
    const reference = parseReference(`${server.host}/alice/one:1`);
    await pushImage(http, { images: [image], reference });
    const before = tokens.seen.length;
    await new Promise((resolve) => setTimeout(resolve, 1200));
    await pushImage(http, { images: [image], reference });
    expect(tokens.seen.length).toBeGreaterThan(before);
  });

  test('R-AUTH-4: identity tokens go by OAuth2, wrong passwords are told', async () => {
    const identityTokens = { [user.username]: 'refresh-me' };
    await using tokens = await startTokenServer({
      users: { [user.username]: user.password },
      identityTokens,
    });
    await using server = await startRegistry({ token: tokens.config });
    const env = (entry: unknown): NodeJS.ProcessEnv => ({
      DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { [server.host]: entry } }),
    });
    const reference = parseReference(`${server.host}/alice/one:1`);
    const image = await makeImage(['one']);
    await using http = client({ env: env({ identitytoken: 'refresh-me' }) });
    await pushImage(http, { images: [image], reference });
    expect(tokens.seen[0]).toMatchObject({
      method: 'POST',
      authorization: undefined,
      service: 'registry.test',
    });
    await using stale = client({ env: env({ identitytoken: 'stale' }) });
    expect(await failure(checkPushAccess(stale, reference))).toEqual(code('REGISTRY_UNAUTHORIZED'));
    await using wrong = client({ env: env({ username: 'alice', password: 'wrong' }) });
    const error = await failure(resolveImage(wrong, reference, amd64));
    expect(error).toEqual(code('REGISTRY_UNAUTHORIZED'));
    expect(String(error)).toContain('credentials from DOCKER_AUTH_CONFIG: incorrect username or password');
  });
});
