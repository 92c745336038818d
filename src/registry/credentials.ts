import type { CredentialFile, StoredAuth } from './credential-file.ts';
import { broken, credentialPlaces, readCredentialFile } from './credential-file.ts';
import type { HelperAnswer } from './credential-helper.ts';
import { askHelper } from './credential-helper.ts';

/** What opens a registry. `source` says in a few words where it comes from, for messages. */
export type Credential =
  | {
      readonly kind: 'password';
      readonly username: string;
      readonly password: string;
      readonly source: string;
    }
  /** OAuth2 refresh token (R-AUTH-4); the user name goes along where it is known. */
  | {
      readonly kind: 'identity-token';
      readonly username: string;
      readonly token: string;
      readonly source: string;
    }
  /** A finished bearer token. */
  | { readonly kind: 'registry-token'; readonly token: string; readonly source: string };

export interface CredentialLookup {
  readonly credential: Credential | undefined;
  /** The places that were asked, up to the one that had it. */
  readonly searched: readonly string[];
}

/** Finds what opens `registry/repository`; `registry` is a reference's, `docker.io` for Docker Hub. */
export type FindCredential = (
  registry: string,
  repository: string,
  signal?: AbortSignal,
) => Promise<CredentialLookup>;

/**
 * Credentials of docker's and podman's files and helpers, in the order of R-AUTH-5; the first place that has an entry wins. Entries may
 * be scoped to a path: `host/a/b` is used for `host/a/b/c`, never for `host/a/bc` (R-AUTH-8). Files are read at each call.
 * Throws CREDENTIALS_INVALID for a broken file or helper that stands before the first entry.
 */
export function credentialFinder(env: NodeJS.ProcessEnv): FindCredential {
  return async (registry, repository, signal) => {
    const searched: string[] = [];
    for (const place of credentialPlaces(env)) {
      const file = await readCredentialFile(place);
      if (file === undefined) continue;
      searched.push(file.source);
      const credential = await findInFile(file, scopes(registry, repository), { env, signal });
      if (credential !== undefined) return { credential, searched };
    }
    return { credential: undefined, searched };
  };
}

/** The server's name towards helpers, and the key that docker writes. */
export function serverName(registry: string): string {
  return registry === 'docker.io' ? 'https://index.docker.io/v1/' : registry;
}

/** `host/a/b`, `host/a`, `host` (containers-auth.json). */
function scopes(registry: string, repository: string): readonly string[] {
  const parts = repository === '' ? [] : repository.split('/');
  const host = registry.toLowerCase();
  return [...parts.map((_, index) => [host, ...parts.slice(0, parts.length - index)].join('/')), host];
}

async function findInFile(
  file: CredentialFile,
  wanted: readonly string[],
  options: { readonly env: NodeJS.ProcessEnv; readonly signal: AbortSignal | undefined },
): Promise<Credential | undefined> {
  for (const scope of wanted) {
    const helper = file.credHelpers.get(scope);
    if (helper !== undefined) {
      const answer = await askHelper(helper, serverName(scope), options);
      if (answer !== undefined) return fromHelper(answer, helper, file.source);
    }
    const stored = file.auths.get(scope);
    const credential = stored === undefined ? undefined : fromEntry(stored, scope, file.source);
    if (credential !== undefined) return credential;
  }
  const host = wanted.at(-1) ?? '';
  if (file.credsStore === undefined || file.credHelpers.has(host)) return undefined;
  const answer = await askHelper(file.credsStore, serverName(host), options);
  return answer === undefined ? undefined : fromHelper(answer, file.credsStore, file.source);
}

function fromHelper(answer: HelperAnswer, helper: string, file: string): Credential {
  const source = `docker-credential-${helper} (named in ${file})`;
  const { username, secret } = answer;
  if (username === '<token>') return { kind: 'identity-token', username: '', token: secret, source };
  return { kind: 'password', username, password: secret, source };
}

function fromEntry(stored: StoredAuth, scope: string, source: string): Credential | undefined {
  if (stored.registrytoken !== undefined) {
    if (!/^[\u0021-\u007e]+$/.test(stored.registrytoken))
      throw broken(source, `\`registrytoken\` of ${scope} has characters that no token has`);
    return { kind: 'registry-token', token: stored.registrytoken, source };
  }
  let { username, password } = stored;
  if (stored.auth !== undefined) {
    const plain = Buffer.from(stored.auth, 'base64').toString('utf8').replace(/\0+$/, '');
    const colon = plain.indexOf(':');
    if (colon < 1) throw broken(source, `\`auth\` of ${scope} is not base64 of user:password`);
    username = plain.slice(0, colon);
    password = plain.slice(colon + 1);
  }
  if (stored.identitytoken !== undefined) {
    return { kind: 'identity-token', username: username ?? '', token: stored.identitytoken, source };
  }
  if (username === undefined || password === undefined) return undefined;
  if (username === '<token>') return { kind: 'identity-token', username: '', token: password, source };
  return { kind: 'password', username, password, source };
}
