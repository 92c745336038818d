import { setTimeout as sleep } from 'node:timers/promises';
import type { TlsSettings } from '../net/certificates.ts';
import type { HttpClient, HttpResponse } from '../net/http.ts';
import { isLoopbackHost } from '../net/address.ts';
import { networkFailure } from '../net/network-error.ts';
import type { Attempt, RetryPolicy } from '../net/retry.ts';
import { isRetryableStatus, retry, retryAfter } from '../net/retry.ts';
import { BuildError } from '../util/build-error.ts';
import type { Challenge } from './challenge.ts';
import { parseChallenges } from './challenge.ts';
import type { RegistryTask } from './errors.ts';
import { responseError, transportError } from './errors.ts';

export interface PingOptions {
  readonly host: string;
  readonly insecure: boolean;
  readonly scheme?: 'http' | 'https' | undefined;
  readonly root?: string | undefined;
  readonly tls?: TlsSettings | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly http: HttpClient;
  readonly policy: RetryPolicy;
  readonly signal?: AbortSignal | undefined;
}

export interface PingResult {
  /** Scheme, host and port. */
  readonly base: URL;
  /** Empty: no authentication is asked for. */
  readonly challenges: readonly Challenge[];
}

/** How long a host that may be plain is given to answer in the likelier scheme before the other is tried as well: milliseconds. */
const headStart = 300;

/**
 * `GET /v2/` (R-AUTH-1): finds out scheme and way of authentication. Only loopback hosts and those that the user listed are tried without
 * TLS: loopback without it first, as registries on the own machine mostly are; others with it first. Nothing secret is sent.
 */
export async function ping(options: PingOptions, task: RegistryTask): Promise<PingResult> {
  const secure = URL.parse(`https://${options.host}`);
  if (secure === null) {
    throw new BuildError('REFERENCE_INVALID', `\`${options.host}\` is no registry host`);
  }
  const loopback = isLoopbackHost(secure.hostname);
  const plain = new URL(`http://${options.host}`);
  if (options.scheme !== undefined || (!loopback && !options.insecure)) {
    return tryOne(options.scheme === 'http' ? plain : secure, options, task).catch((error: unknown) => {
      throw reasonOf(error);
    });
  }
  const [first, second] = loopback ? [plain, secure] : [secure, plain];
  const over = new AbortController();
  const signal = options.signal === undefined ? over.signal : AbortSignal.any([options.signal, over.signal]);
  try {
    return await race(
      () => tryOne(first, { ...options, signal, doubtful: loopback }, task),
      () => tryOne(second, { ...options, signal, doubtful: !loopback }, task),
    );
  } finally {
    over.abort();
  }
}

/** The first that succeeds; the second starts when the first fails or lets `headStart` pass. When both fail, the first's error counts. */
async function race(
  first: () => Promise<PingResult>,
  second: () => Promise<PingResult>,
): Promise<PingResult> {
  const one = first();
  const early = one.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  const winner = await Promise.race([early, sleep(headStart, undefined, { ref: false })]);
  if (winner !== undefined && 'value' in winner) return winner.value;
  try {
    return await Promise.any([one, second()]);
  } catch (error) {
    if (!(error instanceof AggregateError)) throw error;
    const [a, b] = error.errors as unknown[];
    // A certificate that is not trusted tells more than that the other scheme did not work.
    throw a instanceof NotThisScheme || isAboutCertificate(b) ? reasonOf(b) : reasonOf(a);
  }
}

/** The host answered, but not as a registry does in this scheme. */
class NotThisScheme extends Error {
  readonly reason: unknown;
  constructor(reason: unknown) {
    super('not this scheme');
    this.reason = reason;
  }
}

function reasonOf(error: unknown): unknown {
  return error instanceof NotThisScheme ? error.reason : error;
}

function isAboutCertificate(error: unknown): boolean {
  return error instanceof BuildError && networkFailure(error.cause)?.certificate === true;
}

/** `doubtful`: this host may rather speak the other scheme. */
async function tryOne(
  base: URL,
  options: PingOptions & { readonly doubtful?: boolean },
  task: RegistryTask,
): Promise<PingResult> {
  const { doubtful = false } = options;
  // A root elsewhere may be no API of its own (one project of a registry); then the requests themselves tell what they want.
  const url = new URL(options.root?.endsWith('/v2') === true ? `${options.root}/` : '/v2/', base);
  const { signal } = options;
  return retry(
    async (): Promise<Attempt<PingResult>> => {
      let response: HttpResponse;
      try {
        response = await options.http.request({ url, signal, headers: options.headers, tls: options.tls });
      } catch (error) {
        signal?.throwIfAborted();
        const failure = transportError(error, url, task);
        const wrongScheme = doubtful && ['ECONNRESET', 'UND_ERR_SOCKET'].some((code) => hasCode(error, code));
        if (networkFailure(error)?.protocol === true || wrongScheme) throw new NotThisScheme(failure);
        if (networkFailure(error)?.retryable !== true) throw failure;
        return { failure };
      }
      if (isRetryableStatus(response.status)) {
        const pause = retryAfter(response.header('retry-after'), Date.now());
        return { failure: await responseError(response, task, {}), pause };
      }
      const challenges =
        response.status === 401 ? parseChallenges(response.headerValues('www-authenticate')) : [];
      // A TLS server answers a plain request with 400, or sends it to https; a plain one may do likewise.
      if (doubtful && (response.status === 400 || (response.status >= 300 && response.status < 400))) {
        throw new NotThisScheme(await responseError(response, task, {}));
      }
      await response.discard();
      return { value: { base, challenges } };
    },
    options.policy,
    signal,
  );
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
