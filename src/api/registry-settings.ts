import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { BuildError } from '../util/build-error.ts';
import { credentialFinder } from '../registry/credentials.ts';
import type { FindCredential } from '../registry/credentials.ts';
import type { RegistryClientOptions } from '../registry/client.ts';
import { registryPlaces } from '../registry/configuration.ts';
import { registryName } from '../registry/endpoints.ts';
import { givenSource } from '../registry/errors.ts';
import type { CommonOptions } from './types.ts';

/** Which files a client reads, by `CommonOptions.registryFiles`. */
export function registryFiles(
  { registryFiles: wanted }: CommonOptions,
  env: NodeJS.ProcessEnv,
): Pick<RegistryClientOptions, 'files' | 'http'> {
  if (wanted === false) return { files: false, http: { certificateDirectories: [] } };
  const { hostsDirectories, buildkitdConfig } = wanted ?? {};
  if (hostsDirectories === undefined && buildkitdConfig === undefined) return {};
  if (buildkitdConfig !== undefined && !existsSync(buildkitdConfig))
    throw new BuildError('USAGE', `\`${buildkitdConfig}\` does not exist, and a buildkitd.toml is expected`);
  const missing = hostsDirectories?.find((directory) => !existsSync(directory));
  if (missing !== undefined)
    throw new BuildError(
      'USAGE',
      `\`${missing}\` does not exist, and a directory of hosts.toml files is expected`,
      {
        hint: 'it has a directory for each registry: REGISTRY/hosts.toml',
      },
    );
  // Of what describes the same thing, the file that was named counts, not the one that happens to be on the machine.
  const buildkitd = buildkitdConfig === undefined ? [] : [resolve(buildkitdConfig)];
  return { files: { ...registryPlaces(env), hostsDirectories: hostsDirectories ?? [], buildkitd } };
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
    return { credential: { kind: 'password', username, password, source: givenSource }, searched: [] };
  };
}
