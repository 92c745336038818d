import { BuildError } from '../util/build-error.ts';
import { readSmallFileSync } from '../util/small-file.ts';
import { dockerConfigPath } from '../util/docker-config.ts';

const names: Readonly<Record<string, string>> = {
  httpProxy: 'http_proxy',
  httpsProxy: 'https_proxy',
  ftpProxy: 'ftp_proxy',
  noProxy: 'no_proxy',
  allProxy: 'all_proxy',
};

/**
 * `proxies.default` of docker's config.json as build args, in both cases, as docker's client makes them (R-AUTH-6). A file without them is
 * not looked into further. Error: CREDENTIALS_INVALID, for one that has them and cannot be understood.
 */
export function clientProxies(env: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  const path = dockerConfigPath(env);
  const text = path === undefined ? undefined : readText(path);
  if (text === undefined || !text.includes('"proxies"')) return {};
  let found: unknown;
  try {
    const value = JSON.parse(text) as { proxies?: { default?: unknown } | null } | null;
    found = value?.proxies?.default ?? {};
  } catch {
    // The parser's message would quote the text, which holds passwords.
    throw broken(path, 'it is no JSON');
  }
  const args: Record<string, string> = {};
  for (const [key, name] of Object.entries(names)) {
    const value = (found as Record<string, unknown>)[key];
    if (value === undefined || value === null || value === '') continue;
    if (typeof value !== 'string') throw broken(path, `\`${key}\` of its proxies is no text`);
    args[name] = value;
    args[name.toUpperCase()] = value;
  }
  return args;
}

/** Of a file with credentials, in bytes. */
const largest = 16 * 1024 * 1024;

function readText(path: string): string | undefined {
  try {
    return readSmallFileSync(path, largest).toString('utf8');
  } catch {
    // Whoever needs credentials of it says why it cannot be read.
    return undefined;
  }
}

function broken(path: string | undefined, why: string): BuildError {
  return new BuildError('CREDENTIALS_INVALID', `the proxies of ${path ?? ''} cannot be used: ${why}`, {
    hint: 'repair the file, or set DOCKER_CONFIG to another folder',
  });
}
