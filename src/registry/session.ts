import type { TlsSettings } from '../net/certificates.ts';
import type { HttpClient, HttpRequest, HttpResponse } from '../net/http.ts';
import { networkFailure } from '../net/network-error.ts';
import type { Attempt, RetryPolicy } from '../net/retry.ts';
import { isRetryableStatus, retry, retryAfter } from '../net/retry.ts';
import type { Emit } from '../progress/event.ts';
import { BuildError } from '../util/build-error.ts';
import { streamOf } from '../util/streams.ts';
import type { Access, Authorizer } from './auth.ts';
import { createAuthorizer } from './auth.ts';
import { parseChallenges } from './challenge.ts';
import type { FindCredential } from './credentials.ts';
import type { RegistryTask } from './errors.ts';
import { responseError, transportError } from './errors.ts';
import { ping } from './ping.ts';
import { rateLimitWarning } from './rate-limit.ts';
import type { RegistryPlace } from './safety.ts';
import { safeTarget } from './safety.ts';
import type { Slots } from './slots.ts';
import { createSlots } from './slots.ts';

export interface SessionOptions {
  /** What the user calls the registry; credentials are looked up under this name. */
  readonly name: string;
  /** `host[:port]` that answers for it. */
  readonly host: string;
  /** May be spoken to without TLS. */
  readonly insecure: boolean;
  /** Where the user has decided it; undefined: found out. */
  readonly scheme?: 'http' | 'https' | undefined;
  /** The API's root; default `/v2`. */
  readonly root?: string | undefined;
  readonly tls?: TlsSettings | undefined;
  /** Sent to the registry's own origin alone. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly http: HttpClient;
  readonly find: FindCredential;
  readonly trustedRealms: readonly string[];
  readonly policy: RetryPolicy;
  readonly emit?: Emit | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface RegistryRequest {
  readonly method: NonNullable<HttpRequest['method']>;
  /** A path on the registry, or a URL that `safeTarget` has passed. */
  readonly target: string | URL;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: HttpRequest['body'];
  readonly access: Access;
  /** Statuses that are an answer; any other becomes an error. */
  readonly expect: readonly number[];
  /** False: a failure is thrown at once, because another try must start elsewhere (an upload's stream). */
  readonly retry?: boolean | undefined;
  /** Its body may take long to be put away. */
  readonly patient?: boolean | undefined;
  /** Reads the whole body within the try, so that one that breaks off is asked for again; more bytes than these throw IMAGE_INVALID. */
  readonly readLimit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SessionResponse extends HttpResponse {
  /** Resolves the Location header; throws REGISTRY_UNSAFE, or REGISTRY_ERROR when there is none. */
  location(): URL;
}

/** Everything said to one registry: finds out its scheme and its way of authentication once, retries, follows redirects safely. */
export interface Session {
  readonly name: string;
  readonly policy: RetryPolicy;
  /** Large blobs on their way from here at once (R-PULL-3); documents do not wait for them. */
  readonly downloads: Slots;
  place(): Promise<RegistryPlace>;
  send(request: RegistryRequest): Promise<SessionResponse>;
}

const redirects = [301, 302, 303, 307, 308];

export function createSession(options: SessionOptions): Session {
  let state: Promise<{ place: RegistryPlace; authorizer: Authorizer }> | undefined;

  async function start(task: RegistryTask): Promise<{ place: RegistryPlace; authorizer: Authorizer }> {
    const { base, challenges } = await ping(options, task);
    const place = { name: options.name, base, tls: options.tls };
    return { place, authorizer: createAuthorizer(challenges, { ...options, place }) };
  }

  function connected(task: RegistryTask): Promise<{ place: RegistryPlace; authorizer: Authorizer }> {
    if (state !== undefined) return state;
    const made = start(task);
    state = made;
    made.catch(() => {
      if (state === made) state = undefined;
    });
    return made;
  }

  let warned = false;
  /** Once is enough. */
  async function warn(response: HttpResponse, access: Access, authorizer: Authorizer): Promise<void> {
    if (response.header('ratelimit-remaining') === undefined) return;
    const { lookup } = await authorizer.used(access);
    const diagnostic = rateLimitWarning(response, options.name, lookup?.credential !== undefined);
    if (diagnostic === undefined || warned) return;
    warned = true;
    options.emit?.({ type: 'diagnostic', diagnostic });
  }

  async function send(request: RegistryRequest): Promise<SessionResponse> {
    const { access, signal } = request;
    const { place, authorizer } = await connected(access.task);
    return retry(
      async (): Promise<Attempt<SessionResponse>> => {
        let url = new URL(request.target, place.base);
        try {
          const response = await exchange(request, { place, authorizer, visit: (next) => (url = next) });
          if (request.expect.includes(response.status)) {
            if (!warned) await warn(response, access, authorizer);
            return { value: withLocation(await whole(response, request), place) };
          }
          const pause = retryAfter(response.header('retry-after'), Date.now());
          const again = isRetryableStatus(response.status) && request.retry !== false;
          const failure = await responseError(response, access.task, await authorizer.used(access));
          if (!again) throw failure;
          return { failure, pause };
        } catch (error) {
          signal?.throwIfAborted();
          options.signal?.throwIfAborted();
          // Told already: of the token server, which has been asked often enough.
          if (error instanceof BuildError) throw error;
          const failure = transportError(error, url, access.task);
          if (networkFailure(error)?.retryable !== true || request.retry === false) throw failure;
          return { failure };
        }
      },
      options.policy,
      signal,
    );
  }

  /** One try: authentication and redirects included. */
  async function exchange(
    request: RegistryRequest,
    { place, authorizer, visit }: { place: RegistryPlace; authorizer: Authorizer; visit: (url: URL) => void },
  ): Promise<HttpResponse> {
    const { access, signal } = request;
    let url = new URL(request.target, place.base);
    let renewed = false;
    for (let hops = 0; hops <= 6;) {
      visit(url);
      // Invariant: Authorization goes to the registry's own origin alone.
      const own = url.origin === place.base.origin;
      const authorization = own ? await authorizer.header(access) : undefined;
      const response = await options.http.request({
        method: request.method,
        url,
        headers: {
          ...(own ? options.headers : {}),
          ...request.headers,
          ...(authorization === undefined ? {} : { authorization }),
        },
        tls: own ? options.tls : undefined,
        body: request.body,
        signal,
        patient: request.patient,
      });
      if (request.expect.includes(response.status)) return response;
      if (response.status === 401 && own && !renewed) {
        renewed = true;
        const challenges = parseChallenges(response.headerValues('www-authenticate'));
        if (await authorizer.challenged(challenges, access, authorization)) {
          await response.discard();
          continue;
        }
        return response;
      }
      const location = response.header('location');
      if (!redirects.includes(response.status) || location === undefined) return response;
      // After 301 to 303 anything but GET and HEAD would have to change its method: no registry means that.
      const safeMethod = request.method === 'GET' || request.method === 'HEAD';
      if (!safeMethod && response.status < 307) return response;
      await response.discard();
      url = safeTarget(location, url, place);
      hops++;
    }
    throw new BuildError('REGISTRY_UNSAFE', `the registry ${options.name} redirects in circles`);
  }

  return {
    name: options.name,
    policy: options.policy,
    downloads: createSlots(4),
    place: async () =>
      (await connected({ registry: options.name, subject: options.name, kind: 'other' })).place,
    send,
  };
}

async function whole(response: HttpResponse, request: RegistryRequest): Promise<HttpResponse> {
  const limit = request.readLimit;
  if (limit === undefined) return response;
  try {
    const content = await response.bytes(limit);
    return { ...response, body: streamOf(content), bytes: async () => content };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const { subject } = request.access.task;
    throw new BuildError('IMAGE_INVALID', `the document of ${subject} is larger than ${limit} bytes`, {
      cause,
    });
  }
}

function withLocation(response: HttpResponse, place: RegistryPlace): SessionResponse {
  return {
    ...response,
    location() {
      const value = response.header('location');
      if (value !== undefined) return safeTarget(value, response.url, place);
      throw new BuildError(
        'REGISTRY_ERROR',
        `the registry ${place.name} did not say where to go on (no Location)`,
      );
    },
  };
}
