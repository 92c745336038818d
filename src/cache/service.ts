import type { HttpClient, HttpRequest, HttpResponse } from '../net/http.ts';
import { networkFailure } from '../net/network-error.ts';
import type { RetryPolicy } from '../net/retry.ts';
import { defaultRetryPolicy, isRetryableStatus, retry, retryAfter } from '../net/retry.ts';
import { BuildError } from '../util/build-error.ts';

/** A web service that keeps caches. */
export interface Service {
  /** For messages: `s3 bucket builds`. */
  readonly name: string;
  readonly http: HttpClient;
  readonly retry?: RetryPolicy | undefined;
}

const messageLimit = 64 * 1024;

/**
 * One call with retries (R-RETRY-1): the answer when its status is among `expect`, else a BuildError. `make` is asked before each try, since
 * a signature has a time. Throws REGISTRY_UNREACHABLE, REGISTRY_UNAUTHORIZED, REGISTRY_ERROR.
 */
export async function callService(
  service: Service,
  make: () => HttpRequest | Promise<HttpRequest>,
  expect: readonly number[],
): Promise<HttpResponse> {
  let signal: AbortSignal | undefined;
  return retry(async () => {
    const request = await make();
    ({ signal } = request);
    let response: HttpResponse;
    try {
      response = await service.http.request(request);
    } catch (error) {
      signal?.throwIfAborted();
      const failure = networkFailure(error);
      if (failure === undefined) throw error;
      const told = new BuildError('REGISTRY_UNREACHABLE', `${service.name}: ${failure.reason}`, {
        cause: error,
      });
      if (!failure.retryable) throw told;
      return { failure: told };
    }
    if (expect.includes(response.status)) return { value: response };
    const failure = await refusal(service, response);
    if (!isRetryableStatus(response.status)) throw failure;
    return { failure, pause: retryAfter(response.header('retry-after'), Date.now()) };
  }, service.retry ?? defaultRetryPolicy);
}

async function refusal({ name }: Service, response: HttpResponse): Promise<BuildError> {
  const { status } = response;
  // What a server says may have its own and our secrets in it: only what looks like a code or a sentence is told.
  const text = await response.bytes(messageLimit).then(String, () => '');
  const said =
    /<Code>([\w.-]{1,80})<\/Code>/.exec(text)?.[1] ?? /"msg":"([\w .,:'-]{1,200})"/.exec(text)?.[1];
  const code = status === 401 || status === 403 ? 'REGISTRY_UNAUTHORIZED' : 'REGISTRY_ERROR';
  return new BuildError(
    code,
    `${name} answered with status ${status}${said === undefined ? '' : `: ${said}`}`,
  );
}
