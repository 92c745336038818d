import type { HttpResponse } from '../net/http.ts';
import type { Diagnostic } from '../progress/event.ts';

/** From here on the user is told how many are left. */
const few = 10;

/**
 * What a registry's headers say of how much may still be pulled (R-RATE-1: `ratelimit-remaining: 7;w=21600`, the window in seconds), for whoever
 * comes near the limit; undefined: they say nothing, or much is left.
 */
export function rateLimitWarning(
  response: HttpResponse,
  registry: string,
  loggedIn: boolean,
): Diagnostic | undefined {
  const header = response.header('ratelimit-remaining') ?? '';
  const [, count, window] = /^(\d{1,9})(?:;w=(\d{1,9}))?\s*$/.exec(header) ?? [];
  if (count === undefined || Number(count) > few) return undefined;
  const hours = window === undefined ? undefined : Math.max(1, Math.round(Number(window) / 3600));
  const span = hours === undefined ? '' : ` within ${hours === 1 ? 'an hour' : `${hours} hours`}`;
  return {
    severity: 'warning',
    rule: 'RegistryRateLimit',
    message: `${registry} allows ${count === '0' ? 'no more pulls' : `${Number(count)} more pull${count === '1' ? '' : 's'}`}${span}`,
    hint: loggedIn
      ? 'a mirror has no such limit: --registry-mirror'
      : `\`tsbuild login ${registry}\` gives a higher limit; a mirror has none`,
  };
}
