import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { clientProxies } from '../../src/api/client-proxies.ts';
import { givenCredentials, registryFiles } from '../../src/api/registry-settings.ts';
import { tempFolder } from '../support/temp.ts';

test('credentials of the call are for their registry alone, by any of its names', async () => {
  const env = { DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { 'quay.io': { auth: 'ZmlsZTpwdw==' } } }) };
  const find = givenCredentials(
    {
      credentials: {
        'index.docker.io': { username: 'hub', password: 'p' },
        'a.io:5000': { username: 'a', password: 'p' },
      },
    },
    env,
  );
  const user = async (registry: string): Promise<unknown> =>
    ((await find?.(registry, 'x'))?.credential as { username?: string } | undefined)?.username;
  expect(await user('docker.io')).toBe('hub');
  expect(await user('a.io:5000')).toBe('a');
  expect(await user('A.io:5000')).toBe('a');
  expect(await user('a.io')).toBeUndefined();
  expect(await user('quay.io')).toBe('file');
  expect(givenCredentials({}, env)).toBeUndefined();
});

test('registryFiles: false reads nothing, certs.d included; a directory that is named must be there', async () => {
  await using folder = await tempFolder('hosts');
  expect(registryFiles({ registryFiles: false }, {})).toEqual({
    files: false,
    http: { certificateDirectories: [] },
  });
  expect(registryFiles({}, {})).toEqual({});
  const named = (...hostsDirectories: readonly string[]): unknown =>
    registryFiles({ registryFiles: { hostsDirectories } }, {}).files;
  expect(() => named(folder.path, join(folder.path, 'no'))).toThrow(
    expect.objectContaining({ code: 'USAGE' }) as Error,
  );
  expect(named(folder.path)).toMatchObject({
    hostsDirectories: [folder.path],
    registriesConf: ['/etc/containers/registries.conf'],
    buildkitd: [],
  });
});

test('R-MIR-1: a buildkitd.toml that is named counts instead of containerd’s usual files, and must be there', async () => {
  await using folder = await tempFolder('buildkitd');
  const buildkitdConfig = join(folder.path, 'my.toml');
  const named = (more: object = {}): unknown =>
    registryFiles({ registryFiles: { buildkitdConfig, ...more } }, {});
  expect(named).toThrow(expect.objectContaining({ code: 'USAGE' }) as Error);
  await writeFile(buildkitdConfig, '');
  expect(named()).toMatchObject({ files: { buildkitd: [buildkitdConfig], hostsDirectories: [] } });
  expect(named({ hostsDirectories: [folder.path] })).toMatchObject({
    files: { buildkitd: [buildkitdConfig], hostsDirectories: [folder.path] },
  });
});

test('proxies of docker’s config.json, in both cases, and only from a file that has some', async () => {
  await using folder = await tempFolder('proxies');
  const env = { HOME: folder.path };
  const file = join(folder.path, '.docker', 'config.json');
  await mkdir(join(folder.path, '.docker'));
  expect(clientProxies({})).toEqual({});
  expect(clientProxies(env)).toEqual({});
  const proxies = {
    default: { httpProxy: 'http://p:1', noProxy: 'a,b', other: 'x', httpsProxy: '' },
    'tcp://x': { ftpProxy: 'f' },
  };
  await writeFile(file, JSON.stringify({ proxies }));
  expect(clientProxies(env)).toEqual({
    http_proxy: 'http://p:1',
    HTTP_PROXY: 'http://p:1',
    no_proxy: 'a,b',
    NO_PROXY: 'a,b',
  });
  expect(clientProxies({ DOCKER_CONFIG: join(folder.path, '.docker') })).toHaveProperty('NO_PROXY');
  await writeFile(file, '{"auths": broken');
  expect(clientProxies(env)).toEqual({});
  for (const text of ['{"proxies": broken', '{"proxies": {"default": {"httpProxy": 1}}}']) {
    await writeFile(file, text);
    expect(() => clientProxies(env)).toThrow(
      expect.objectContaining({ code: 'CREDENTIALS_INVALID' }) as Error,
    );
  }
});
