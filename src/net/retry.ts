import { setTimeout as sleep } from 'node:timers/promises';

export interface RetryPolicy {
  /** Milliseconds before the second, third, … try; as many retries as there are numbers. */
  readonly delays: readonly number[];
  /** A server that asks for a longer pause (Retry-After) is not waited for: milliseconds. */
  readonly longestPause: number;
}

/** R-RETRY-1. */
export const defaultRetryPolicy: RetryPolicy = { delays: [500, 2000, 4000], longestPause: 60_000 };

/** What one try came to: a value to return, or a failure that another try might mend. */
export type Attempt<T> =
  | { readonly value: T }
  | { readonly failure: unknown; readonly pause?: number | undefined };

/** Statuses that a later try may not have: R-RETRY-1. */
export function isRetryableStatus(status: number): boolean {
  return [408, 429, 499, 500, 502, 503, 504, 522].includes(status);
}

/**
 * Calls `attempt(n)`, n from 0, until it gives a value or the policy's tries are used up; then throws the last `failure`. What `attempt`
 * throws ends it at once. Pauses get up to 20 % of jitter; a `pause` (milliseconds, from Retry-After) replaces a shorter delay.
 */
export async function retry<T>(
  attempt: (number: number) => Promise<Attempt<T>>,
  policy: RetryPolicy,
  signal?: AbortSignal,
): Promise<T> {
  for (let number = 0; ; number++) {
    signal?.throwIfAborted();
    const result = await attempt(number);
    if ('value' in result) return result.value;
    const pause = nextPause(policy, number, result.pause);
    if (pause === undefined) throw result.failure;
    await pauseFor(pause, signal);
  }
}

/**
 * Milliseconds to wait after try `number` (from 0) has failed, up to 20 % of jitter included, so that many who failed together do not come
 * back together; undefined: no further try. `asked`: what the server wants, milliseconds.
 */
export function nextPause(policy: RetryPolicy, number: number, asked = 0): number | undefined {
  const delay = policy.delays[number];
  if (delay === undefined || asked > policy.longestPause) return undefined;
  return Math.max(delay, asked) * (1 + Math.random() * 0.2);
}

/** Waits; an abort ends it with the signal's reason. */
export async function pauseFor(milliseconds: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/** Milliseconds to wait by a Retry-After header: seconds, a date, or (some registries) seconds since the epoch. undefined: it says nothing. */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  if (/^\d{1,12}$/.test(text)) {
    const seconds = Number(text);
    return Math.max(0, seconds > 1e9 ? seconds * 1000 - now : seconds * 1000);
  }
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
