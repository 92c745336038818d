import type { HttpClient } from '../net/http.ts';
import type { RetryPolicy } from '../net/retry.ts';
import type { Emit } from '../progress/event.ts';
import type { Challenge } from './challenge.ts';
import { chooseChallenge } from './challenge.ts';
import type { Credential, CredentialLookup, FindCredential } from './credentials.ts';
import type { AccessUsed, RegistryTask } from './errors.ts';
import { withheld } from './errors.ts';
import type { RegistryPlace } from './safety.ts';
import { isTrustedRealm, realmTls, safeRealm } from './safety.ts';
import type { Token } from './token.ts';
import { basic, fetchToken } from './token.ts';

export interface AuthorizerOptions {
  readonly http: HttpClient;
  readonly place: RegistryPlace;
  readonly find: FindCredential;
  readonly trustedRealms: readonly string[];
  readonly policy: RetryPolicy;
  readonly emit?: Emit | undefined;
  /** Of the client as a whole: look-ups and tokens are shared by requests, so no single request's abort may end them. */
  readonly signal?: AbortSignal | undefined;
}

/** What one request wants to do. */
export interface Access {
  readonly repository: string;
  /** `repository:a/b:pull,push`; the first is the one it is about. */
  readonly scopes: readonly string[];
  readonly task: RegistryTask;
}

/** Makes the Authorization header for one registry, and remembers tokens per set of scopes. Only the transport may ask, and only for
 * requests to the registry's own origin. */
export interface Authorizer {
  /** undefined: the registry wants none, or there is none to give. */
  header(access: Access): Promise<string | undefined>;
  /** Takes what came with a 401. True when another try makes sense: there is something new to send. */
  challenged(challenges: readonly Challenge[], access: Access, sent: string | undefined): Promise<boolean>;
  /** What was tried, for messages. */
  used(access: Access): Promise<AccessUsed>;
}

export function createAuthorizer(first: readonly Challenge[], options: AuthorizerOptions): Authorizer {
  const { place, http } = options;
  const lookups = new Map<string, Promise<CredentialLookup>>();
  const tokens = new Map<string, Promise<Token>>();
  // What a registry demanded beyond the scopes we thought of, by our own scopes.
  const demanded = new Map<string, string>();
  // A token server may replace an identity token when it is used (R-AUTH-4); the file keeps the old one, as with docker.
  const replaced = new Map<string, string>();
  let challenge = chooseChallenge(first);

  function lookup(access: Access): Promise<CredentialLookup> {
    const known = lookups.get(access.repository);
    if (known !== undefined) return known;
    const made = options.find(place.name, access.repository, options.signal);
    lookups.set(access.repository, made);
    made.catch(() => lookups.delete(access.repository));
    return made;
  }

  function scopesOf(access: Access): readonly string[] {
    const extra = demanded.get(access.scopes.join(' '));
    return extra === undefined ? access.scopes : [...new Set([extra, ...access.scopes])];
  }

  function keyOf(access: Access): string {
    return JSON.stringify([access.repository, scopesOf(access).toSorted()]);
  }

  async function bearer(access: Access, wanted: Challenge): Promise<string> {
    const key = keyOf(access);
    const known = tokens.get(key);
    if (known !== undefined) {
      const token = await known;
      if (token.expires > Date.now()) return token.token;
    }
    // Of several that find the old one expired, the first asks for all.
    const current = tokens.get(key);
    if (current !== undefined && current !== known) return (await current).token;
    const made = ask(access, wanted);
    tokens.set(key, made);
    made.catch(() => {
      if (tokens.get(key) === made) tokens.delete(key);
    });
    return (await made).token;
  }

  function latest(credential: Credential | undefined): Credential | undefined {
    if (credential?.kind !== 'identity-token') return credential;
    return { ...credential, token: replaced.get(credential.token) ?? credential.token };
  }

  async function ask(access: Access, wanted: Challenge): Promise<Token> {
    const realm = safeRealm(wanted.parameters['realm'] ?? '', place, options.trustedRealms);
    const { credential } = await lookup(access);
    const shown = isTrustedRealm(realm, place, options.trustedRealms) ? latest(credential) : undefined;
    if (credential !== undefined && shown === undefined && access.scopes.length === 0) {
      // A login would seem to succeed, though nobody has looked at the password.
      throw withheld(access.task, realm.host);
    }
    const scopes = scopesOf(access);
    const service = wanted.parameters['service'];
    const id = `internal:auth ${realm.host} ${scopes.join(' ')}` as const;
    const name = `[auth] ${(scopes[0] ?? place.name).replace(/^repository:/, '')} token for ${place.name}`;
    const tell = (state: 'running' | 'done' | 'failed'): void =>
      options.emit?.({ type: 'vertex', id, name, state, time: Date.now() });
    tell('running');
    try {
      const request = {
        realm,
        tls: realmTls(realm, place),
        service,
        scopes,
        credential: shown,
        task: access.task,
        signal: options.signal,
      };
      const token = await fetchToken(http, { ...request, used: await used(access), policy: options.policy });
      tell('done');
      if (credential?.kind === 'identity-token' && shown !== undefined && token.refreshToken !== undefined)
        replaced.set(credential.token, token.refreshToken);
      return token;
    } catch (error) {
      tell('failed');
      throw error;
    }
  }

  async function header(access: Access): Promise<string | undefined> {
    if (challenge === undefined) return undefined;
    const { credential } = await lookup(access);
    if (credential?.kind === 'registry-token') return `Bearer ${credential.token}`;
    if (challenge.scheme === 'bearer') return `Bearer ${await bearer(access, challenge)}`;
    if (credential === undefined) return undefined;
    // Registries that know Basic only take a token in the password's place.
    return credential.kind === 'password'
      ? basic(credential.username, credential.password)
      : basic(credential.username || '<token>', credential.token);
  }

  async function challenged(
    challenges: readonly Challenge[],
    access: Access,
    sent: string | undefined,
  ): Promise<boolean> {
    const chosen = chooseChallenge(challenges);
    if (chosen === undefined) return false;
    challenge = chosen;
    if (chosen.scheme === 'bearer') {
      const scope = chosen.parameters['scope'];
      // Only scopes that are about what we do ourselves: a registry cannot make us ask for others' repositories.
      if (scope !== undefined && scope.split(' ').every((item) => isOwn(item, access))) {
        if (!access.scopes.includes(scope)) demanded.set(access.scopes.join(' '), scope);
      }
      const known = await tokens.get(keyOf(access))?.catch(() => undefined);
      // Another request may have renewed it meanwhile.
      if (known !== undefined && sent === `Bearer ${known.token}`) tokens.delete(keyOf(access));
    }
    return (await header(access)) !== sent;
  }

  async function used(access: Access): Promise<AccessUsed> {
    const found = await lookup(access);
    if (challenge?.scheme !== 'bearer' || found.credential === undefined) return { lookup: found };
    if (found.credential.kind === 'registry-token') return { lookup: found };
    const realm = URL.parse(challenge.parameters['realm'] ?? '');
    const hidden = realm !== null && !isTrustedRealm(realm, place, options.trustedRealms);
    return { lookup: found, ...(hidden ? { withheldFrom: realm.host } : {}) };
  }

  return { header, challenged, used };
}

function isOwn(scope: string, access: Access): boolean {
  const [type, name] = scope.split(':');
  return (
    type === 'repository' &&
    access.scopes.some((own) => own.startsWith(`repository:${name ?? ''}:`)) &&
    /^repository:[\w./-]+:[a-z,*]+$/.test(scope)
  );
}
