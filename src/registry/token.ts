import type { TlsSettings } from '../net/certificates.ts';
import type { HttpClient, HttpResponse } from '../net/http.ts';
import { isRetryableStatus, retry, retryAfter } from '../net/retry.ts';
import type { Attempt, RetryPolicy } from '../net/retry.ts';
import { networkFailure } from '../net/network-error.ts';
import { BuildError } from '../util/build-error.ts';
import { redactUrl } from '../util/redact.ts';
import type { Credential } from './credentials.ts';
import type { AccessUsed, RegistryTask } from './errors.ts';
import { responseError, transportError } from './errors.ts';

export interface Token {
  readonly token: string;
  /** Milliseconds since the epoch after which it is not used any more. */
  readonly expires: number;
  /** What takes the place of the identity token that was shown. */
  readonly refreshToken?: string | undefined;
}

export interface TokenRequest {
  readonly realm: URL;
  readonly tls?: TlsSettings | undefined;
  readonly service: string | undefined;
  readonly scopes: readonly string[];
  /** Only what this realm may see. */
  readonly credential: Credential | undefined;
  readonly task: RegistryTask;
  readonly used: AccessUsed;
  readonly policy: RetryPolicy;
  readonly signal: AbortSignal | undefined;
}

const answerLimit = 64 * 1024;

/**
 * Asks a token server (distribution's token.md): by GET with Basic or nothing, by OAuth2 POST for an identity token (R-AUTH-3, R-AUTH-4).
 * Never follows a redirect: what goes there may hold a password. Throws REGISTRY_UNAUTHORIZED, REGISTRY_UNREACHABLE, REGISTRY_ERROR.
 */
export async function fetchToken(http: HttpClient, request: TokenRequest): Promise<Token> {
  const { credential } = request;
  if (credential?.kind === 'identity-token') {
    const answer = await send(http, request, post(request, credential.token));
    // Servers that never heard of OAuth2 say so in one of these ways.
    if (answer.status !== 404 && answer.status !== 405) return readToken(answer, request);
    await answer.discard();
  }
  return readToken(await send(http, request, get(request)), request);
}

type Ask = Pick<Parameters<HttpClient['request']>[0], 'method' | 'url' | 'headers' | 'body'>;

function get(request: TokenRequest): Ask {
  const url = new URL(request.realm);
  if (request.service !== undefined) url.searchParams.set('service', request.service);
  for (const scope of request.scopes) url.searchParams.append('scope', scope);
  const { credential } = request;
  if (credential?.kind === 'password') url.searchParams.set('account', credential.username);
  const headers: Record<string, string> = {};
  if (credential?.kind === 'password')
    headers['authorization'] = basic(credential.username, credential.password);
  if (credential?.kind === 'identity-token') headers['authorization'] = basic('<token>', credential.token);
  return { method: 'GET', url, headers };
}

function post(request: TokenRequest, refreshToken: string): Ask {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    client_id: 'tsbuild',
    service: request.service ?? '',
    scope: request.scopes.join(' '),
    access_type: 'offline',
  });
  return {
    method: 'POST',
    url: request.realm,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: form.toString(),
  };
}

export function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}

async function send(http: HttpClient, request: TokenRequest, ask: Ask): Promise<HttpResponse> {
  const { signal, task, realm } = request;
  return retry(
    async (): Promise<Attempt<HttpResponse>> => {
      try {
        const response = await http.request({ ...ask, tls: request.tls, signal });
        if (!isRetryableStatus(response.status)) return { value: response };
        const pause = retryAfter(response.header('retry-after'), Date.now());
        return { failure: await responseError(response, task, request.used), pause };
      } catch (error) {
        signal?.throwIfAborted();
        const failure = transportError(error, realm, task);
        if (networkFailure(error)?.retryable === true) return { failure };
        throw failure;
      }
    },
    request.policy,
    signal,
  );
}

async function readToken(response: HttpResponse, request: TokenRequest): Promise<Token> {
  const where = redactUrl(request.realm);
  if (response.status >= 300 && response.status < 400) {
    await response.discard();
    throw new BuildError('REGISTRY_UNSAFE', `the token server ${where} redirects, which is not followed`);
  }
  if (response.status !== 200) {
    // 400 is what OAuth2 says to a refresh token that is no longer good.
    const denied = [400, 401, 403].includes(response.status);
    const error = await responseError(
      denied ? { ...response, status: 401 } : response,
      request.task,
      request.used,
    );
    throw error;
  }
  let value: Record<string, unknown> | null = null;
  try {
    value = JSON.parse((await response.bytes(answerLimit)).toString('utf8')) as Record<
      string,
      unknown
    > | null;
  } catch {
    // Judged below: not an object, no token.
  }
  const token = value?.['token'] ?? value?.['access_token'];
  if (!isToken(token)) {
    throw new BuildError('REGISTRY_ERROR', `the token server ${where} gave no token`);
  }
  const seconds = value?.['expires_in'];
  const life = typeof seconds === 'number' && seconds > 0 ? Math.min(seconds, 86_400) : 60;
  // A little early, so that it does not end on the way. `issued_at` is the other side's clock and of no use.
  const expires = Date.now() + Math.max(life * 0.9, life - 15) * 1000;
  const refreshToken = value?.['refresh_token'];
  return { token, expires, refreshToken: isToken(refreshToken) ? refreshToken : undefined };
}

function isToken(value: unknown): value is string {
  return typeof value === 'string' && /^[\u0021-\u007e]+$/.test(value);
}
