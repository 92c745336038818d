import { join } from 'node:path';
import { BuildError } from '../util/build-error.ts';
import { readSmallFile } from '../util/small-file.ts';
import { inWords } from '../util/system-error.ts';
import { configHome, dockerConfigPath, set } from '../util/docker-config.ts';
import { checkHeader } from './toml.ts';

/** One entry of `auths`. */
export interface StoredAuth {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

/** Docker's config.json or podman's auth.json, as far as credentials go (R-AUTH-6). */
export interface CredentialFile {
  /** For messages: a path, or `DOCKER_AUTH_CONFIG`. */
  readonly source: string;
  /** By normal form of the key: `host[:port][/path]`. */
  readonly auths: ReadonlyMap<string, StoredAuth>;
  readonly credHelpers: ReadonlyMap<string, string>;
  readonly credsStore: string | undefined;
}

/** Where credentials are looked for, in order (R-AUTH-5); a value is the text itself. */
export type CredentialPlace =
  | { readonly source: string; readonly path: string }
  | { readonly source: string; readonly text: string };

export function credentialPlaces(env: NodeJS.ProcessEnv): readonly CredentialPlace[] {
  const places: CredentialPlace[] = [];
  const inline = set(env['DOCKER_AUTH_CONFIG']);
  if (inline !== undefined) places.push({ source: 'DOCKER_AUTH_CONFIG', text: inline });
  const docker = dockerConfigPath(env);
  const config = configHome(env);
  const runtime = set(env['XDG_RUNTIME_DIR']);
  const paths = [
    docker,
    set(env['REGISTRY_AUTH_FILE']),
    runtime === undefined ? undefined : join(runtime, 'containers', 'auth.json'),
    config === undefined ? undefined : join(config, 'containers', 'auth.json'),
  ];
  for (const path of new Set(paths)) if (path !== undefined) places.push({ source: path, path });
  return places;
}

/** undefined when there is no such file. Throws CREDENTIALS_INVALID when it cannot be read or understood: then nothing is guessed, because
 * a broken file once made a client send credentials to the wrong registry (CVE-2021-41092). */
export async function readCredentialFile(place: CredentialPlace): Promise<CredentialFile | undefined> {
  const value = await readJsonObject(place);
  if (value === undefined) return undefined;
  const { source } = place;
  const auths = new Map<string, StoredAuth>();
  for (const [key, entry] of Object.entries(mapOf(value, 'auths', source))) {
    if (entry === null || typeof entry !== 'object' || Array.isArray(entry)) {
      throw broken(source, `the entry for ${key} is no object`);
    }
    const scope = normalScope(key);
    const stored = storedAuth(entry as Record<string, unknown>, key, source);
    // Docker writes an empty entry where a helper has the secret; it must not hide another spelling of the same host.
    if (Object.keys(stored).length > 0 || !auths.has(scope)) auths.set(scope, stored);
  }
  const credHelpers = new Map<string, string>();
  for (const [key, name] of Object.entries(mapOf(value, 'credHelpers', source))) {
    if (typeof name !== 'string') throw broken(source, `the helper for ${key} is no text`);
    credHelpers.set(normalScope(key), name);
  }
  const store = value['credsStore'];
  if (store !== undefined && store !== null && typeof store !== 'string') {
    throw broken(source, 'credsStore is no text');
  }
  return { source, auths, credHelpers, credsStore: typeof store === 'string' ? set(store) : undefined };
}

/**
 * `HttpHeaders` of docker's config.json, as far as they are for registries: docker's engine passes on to them what begins with `X-Meta-`,
 * all else is for the engine itself. Error: CREDENTIALS_INVALID.
 */
export async function metaHeaders(env: NodeJS.ProcessEnv): Promise<Readonly<Record<string, string>>> {
  const path = dockerConfigPath(env);
  if (path === undefined) return {};
  // What cannot be read is told by whoever looks for credentials there.
  const text = (await readSmallFile(path, largest).catch(() => '')).toString();
  if (!text.includes('"HttpHeaders"')) return {};
  const value = (await readJsonObject({ source: path, text })) ?? {};
  const found: Record<string, string> = {};
  for (const [name, item] of Object.entries(mapOf(value, 'HttpHeaders', path))) {
    if (!/^x-meta-/i.test(name)) continue;
    if (typeof item !== 'string') throw broken(path, `the header ${name.slice(0, 100)} is no text`);
    checkHeader(name, [item], (why) => broken(path, why));
    found[name.toLowerCase()] = item;
  }
  return found;
}

/** Of a file with credentials, in bytes. */
const largest = 16 * 1024 * 1024;

/** The parsed object with every key, for whoever writes it back. */
export async function readJsonObject(place: CredentialPlace): Promise<Record<string, unknown> | undefined> {
  let text: string;
  if ('text' in place) {
    text = place.text;
  } else {
    try {
      text = (await readSmallFile(place.path, largest)).toString('utf8');
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      const why = code === 'EFTYPE' ? 'it is no ordinary file' : `it cannot be read: ${inWords(cause)}`;
      throw broken(place.source, why, cause);
    }
  }
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message would quote the text, which holds passwords.
    throw broken(place.source, 'it is no JSON');
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw broken(place.source, 'it is no JSON object');
  }
  return value as Record<string, unknown>;
}

/**
 * `https://index.docker.io/v1/` is `docker.io`; `https://host/v2/` is `host`; `host/team/` is `host/team`. The host is in lower case.
 */
export function normalScope(key: string): string {
  const bare = key
    .trim()
    .replace(/^https?:\/\//i, '')
    .replace(/\/+$/, '');
  const slash = bare.indexOf('/');
  const host = (slash < 0 ? bare : bare.slice(0, slash)).toLowerCase();
  const path = slash < 0 ? '' : bare.slice(slash);
  const canonical = ['index.docker.io', 'registry-1.docker.io'].includes(host) ? 'docker.io' : host;
  return /^\/v[12]$/.test(path) ? canonical : `${canonical}${path}`;
}

function storedAuth(entry: Record<string, unknown>, key: string, source: string): StoredAuth {
  const result: Record<string, string> = {};
  for (const name of ['auth', 'username', 'password', 'identitytoken', 'registrytoken'] as const) {
    const value = entry[name];
    if (value === undefined || value === null || value === '') continue;
    if (typeof value !== 'string') throw broken(source, `\`${name}\` of ${key} is no text`);
    result[name] = value;
  }
  return result;
}

function mapOf(value: Record<string, unknown>, key: string, source: string): Record<string, unknown> {
  const item = value[key];
  if (item === undefined || item === null) return {};
  if (typeof item !== 'object' || Array.isArray(item)) throw broken(source, `\`${key}\` is no object`);
  return item as Record<string, unknown>;
}

export function broken(source: string, why: string, cause?: unknown): BuildError {
  return new BuildError('CREDENTIALS_INVALID', `the credential file ${source} cannot be used: ${why}`, {
    hint: 'repair it or remove it; nothing is sent to any registry while it is unclear',
    details: { source },
    cause,
  });
}
