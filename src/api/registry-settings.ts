import { credentialFinder } from '../registry/credentials.ts';
import type { FindCredential } from '../registry/credentials.ts';
import type { RegistryClientOptions } from '../registry/client.ts';
import { registryPlaces } from '../registry/configuration.ts';
import { registryName } from '../registry/endpoints.ts';
import type { CommonOptions } from './types.ts';

/** Which files a client reads, by `CommonOptions.registryFiles`. */
export function registryFiles(
  { registryFiles: wanted }: CommonOptions,
  env: NodeJS.ProcessEnv,
): Pick<RegistryClientOptions, 'files' | 'http'> {
  if (wanted === false) return { files: false, http: { certificateDirectories: [] } };
  const { hostsDirectories } = wanted ?? {};
  return hostsDirectories === undefined ? {} : { files: { ...registryPlaces(env), hostsDirectories } };
}

/** Credentials that the caller gave, each for its own registry; files and helpers for all others. undefined: none were given. */
export function givenCredentials(
  { credentials }: CommonOptions,
  env: NodeJS.ProcessEnv,
): FindCredential | undefined {
  if (credentials === undefined || Object.keys(credentials).length === 0) return undefined;
  const given = new Map(Object.entries(credentials).map(([registry, one]) => [registryName(registry), one]));
  const inFiles = credentialFinder(env);
  return async (registry, repository, signal) => {
    const own = given.get(registryName(registry));
    if (own === undefined) return inFiles(registry, repository, signal);
    const { username, password } = own;
    const source = 'the options of this call (--creds)';
    return { credential: { kind: 'password', username, password, source }, searched: [] };
  };
}
