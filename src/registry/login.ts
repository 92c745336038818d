import { randomBytes } from 'node:crypto';
import { open, realpath, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { makeDirectories } from '../util/make-directories.ts';
import { BuildError } from '../util/build-error.ts';
import { dockerConfigPath } from '../util/docker-config.ts';
import { inWords } from '../util/system-error.ts';
import { broken, normalScope, readJsonObject } from './credential-file.ts';
import { eraseWithHelper, storeWithHelper } from './credential-helper.ts';
import { serverName } from './credentials.ts';

export interface LoginOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
  /** Instead of docker's config.json: podman's auth.json has the same form. */
  readonly file?: string | undefined;
}

/**
 * Keeps credentials for a registry (`docker.io`, `ghcr.io`, `host:port`) where docker keeps them: in the helper that docker's config.json
 * names for it, else in the file itself (mode 0600, replaced by rename, other keys kept). Says where. Does not try them.
 * Throws CREDENTIALS_INVALID when the file or the helper is broken; then nothing was changed.
 */
export async function login(
  registry: string,
  credential: { readonly username: string; readonly password: string },
  options: LoginOptions,
): Promise<{ readonly source: string; readonly plain: boolean }> {
  const { username, password } = credential;
  if (username === '' || username.includes(':')) {
    throw new BuildError('USAGE', 'a user name must not be empty and has no `:`');
  }
  const { path, config } = await readConfig(options);
  const auths = section(config, 'auths', path);
  const host = normalScope(registry);
  const helper = helperFor(config, host, path);
  for (const key of Object.keys(auths)) if (normalScope(key) === host) delete auths[key];
  if (helper !== undefined) {
    await storeWithHelper(helper, { server: serverName(host), username, secret: password }, options);
    auths[serverName(host)] = {};
  } else {
    auths[serverName(host)] = { auth: Buffer.from(`${username}:${password}`).toString('base64') };
  }
  await writeConfig(path, { ...config, auths });
  return helper === undefined
    ? { source: path, plain: true }
    : { source: `docker-credential-${helper}`, plain: false };
}

/** Forgets what `login` keeps. False when there was nothing. Touches podman's files only as `file`. Throws CREDENTIALS_INVALID. */
export async function logout(registry: string, options: LoginOptions): Promise<boolean> {
  const { path, config } = await readConfig(options);
  const auths = section(config, 'auths', path);
  const host = normalScope(registry);
  const helper = helperFor(config, host, path);
  let found = helper === undefined ? false : await eraseWithHelper(helper, serverName(host), options);
  const keys = Object.keys(auths).filter((key) => normalScope(key) === host);
  for (const key of keys) {
    delete auths[key];
    found = true;
  }
  if (keys.length > 0) await writeConfig(path, { ...config, auths });
  return found;
}

async function readConfig({
  env,
  file,
}: LoginOptions): Promise<{ path: string; config: Record<string, unknown> }> {
  const named = file === undefined ? dockerConfigPath(env) : resolve(file);
  if (named === undefined) {
    throw new BuildError('CREDENTIALS_INVALID', 'there is no place for credentials: HOME is not set', {
      hint: 'set HOME or DOCKER_CONFIG',
    });
  }
  // A link to a file elsewhere (dotfiles in a repository) stays one: its target is replaced.
  const path = await realpath(named).catch(() => named);
  return { path, config: (await readJsonObject({ source: path, path })) ?? {} };
}

function section(config: Record<string, unknown>, key: string, path: string): Record<string, unknown> {
  const value = config[key] ?? {};
  if (typeof value !== 'object' || Array.isArray(value)) throw broken(path, `\`${key}\` is no object`);
  return { ...(value as Record<string, unknown>) };
}

function helperFor(config: Record<string, unknown>, host: string, path: string): string | undefined {
  const helpers = section(config, 'credHelpers', path);
  const own = Object.keys(helpers).find((key) => normalScope(key) === host);
  const name = own === undefined ? config['credsStore'] : helpers[own];
  if (name === undefined || name === null || name === '') return undefined;
  if (typeof name !== 'string') throw broken(path, 'the name of a credential helper is no text');
  return name;
}

async function writeConfig(path: string, config: Record<string, unknown>): Promise<void> {
  const temporary = join(dirname(path), `.config.json.${randomBytes(6).toString('hex')}`);
  try {
    makeDirectories(dirname(path), 0o700);
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(config, undefined, '\t')}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    // What could not be written counts, not what could not be removed.
    await rm(temporary, { force: true }).catch(() => undefined);
    throw new BuildError('CREDENTIALS_INVALID', `cannot write ${path}: ${inWords(cause)}`, { cause });
  }
}
