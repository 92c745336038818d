import { isAbsolute, join } from 'node:path';

/** Docker's own config.json: where `login` writes. undefined when the environment has no home directory. */
export function dockerConfigPath(env: NodeJS.ProcessEnv): string | undefined {
  const home = homeOf(env);
  const folder = set(env['DOCKER_CONFIG']) ?? (home === undefined ? undefined : join(home, '.docker'));
  return folder === undefined ? undefined : join(folder, 'config.json');
}

export function homeOf(env: NodeJS.ProcessEnv): string | undefined {
  return set(env['HOME']) ?? set(env['USERPROFILE']);
}

/** Where a user's programs keep their configuration. A relative place counts for nothing, as its specification says: it would be a folder of the context. */
export function configHome(env: NodeJS.ProcessEnv): string | undefined {
  const named = env['XDG_CONFIG_HOME'] ?? '';
  if (isAbsolute(named)) return named;
  const home = homeOf(env);
  return home === undefined ? undefined : join(home, '.config');
}

/** A variable that is set, and not to nothing. */
export function set(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : value;
}
