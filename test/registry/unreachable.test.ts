import { expect, test } from 'vitest';
import { BuildError } from '../../src/util/build-error.ts';
import { transportError } from '../../src/registry/errors.ts';
import type { RegistryTask } from '../../src/registry/errors.ts';

/** The hint of a request that failed with a code of the network. */
function hintFor(networkCode: string, registry: string, kind: RegistryTask['kind'] = 'manifest'): string {
  const error = Object.assign(new Error('x'), { code: networkCode });
  const host = registry === 'docker.io' ? 'registry-1.docker.io' : registry;
  const told = transportError(error, new URL(`https://${host}/v2/`), { registry, subject: 'x', kind });
  if (!(told instanceof BuildError)) throw new Error('no network failure');
  expect(told.code).toBe('REGISTRY_UNREACHABLE');
  return told.hint ?? '';
}

test('a registry that cannot be reached: what may be done', () => {
  expect(hintFor('ENOTFOUND', 'docker.io')).toMatch(/REGISTRY\/NAME:TAG.*--registry-mirror/);
  expect(hintFor('ENOTFOUND', 'docker.io', 'push')).toMatch(/REGISTRY\/NAME:TAG for another$/);
  expect(hintFor('ENOTFOUND', 'docker.io', 'login')).toMatch(/REGISTRY\/NAME:TAG for another$/);
  expect(hintFor('ENOTFOUND', 'docker.io', 'tags')).toMatch(/mirrors are not asked for lists$/);
  expect(hintFor('ECONNREFUSED', 'r.example:5000')).toMatch(/check the name.*HTTPS_PROXY/);
  expect(hintFor('ECONNREFUSED', 'localhost:5000')).toMatch(/whether a registry is running there$/);
  expect(hintFor('ERR_SSL_WRONG_VERSION_NUMBER', 'r.example:5000')).toContain(
    '--insecure-registry r.example:5000',
  );
  expect(hintFor('DEPTH_ZERO_SELF_SIGNED_CERT', 'r.example')).toContain('--ca FILE');
});
