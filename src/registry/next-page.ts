import type { SessionResponse } from './session.ts';

/**
 * The page that an answer names as the next (distribution-spec, "Listing Tags", `Link`); undefined: it is the last. Another origin is never asked: what
 * it says of the same list is asked of the registry itself, which behind a proxy that ends TLS may name itself wrongly.
 */
export function nextPage(response: SessionResponse): URL | undefined {
  const links = (response.header('link') ?? '').matchAll(/<([^<>]*)>\s*;([^,]*)/g);
  const next = links.find(([, , parameters = '']) => /\brel="?next"?/i.test(parameters))?.[1];
  const url = next === undefined ? null : URL.parse(next, response.url.href);
  if (url === null) return undefined;
  if (url.origin === response.url.origin) return url;
  return url.pathname === response.url.pathname ? new URL(url.search, response.url) : undefined;
}
