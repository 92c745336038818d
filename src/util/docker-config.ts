import { join } from 'node:path';

/** Docker's own config.json: where `login` writes. undefined when the environment has no home directory. */
export function dockerConfigPath(env: NodeJS.ProcessEnv): string | undefined {
  const home = homeOf(env);
  const folder = set(env['DOCKER_CONFIG']) ?? (home === undefined ? undefined : join(home, '.docker'));
  return folder === undefined ? undefined : join(folder, 'config.json');
}

export function homeOf(env: NodeJS.ProcessEnv): string | undefined {
  return set(env['HOME']) ?? set(env['USERPROFILE']);
}

/** A variable that is set, and not to nothing. */
export function set(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : value;
}
