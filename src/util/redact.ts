/** A URL fit for messages and logs: without user, password, fragment, and the values of its query. Never throws. */
export function redactUrl(url: string | URL): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return redactText(String(url)).replace(/[?#].*$/s, '?…');
  }
  const query = parsed.search === '' ? '' : '?…';
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}${query}`;
}

/**
 * A text of unknown origin (a server's message, output of a program) fit for a terminal and a log: no control characters, no
 * credentials in URLs or Authorization headers, none of `secrets`, at most `limit` characters. Takes linear time.
 */
export function redactText(text: string, secrets: readonly string[] = [], limit = 500): string {
  let clean = text;
  for (const secret of secrets) {
    // Short ones would blank out innocent words; nobody's token is that short.
    if (secret.length >= 4) clean = clean.replaceAll(secret, '****');
  }
  clean = clean
    .replace(/(?<=[a-z0-9+.-]:\/\/)[^\s/@]*@/gi, '')
    .replace(/\bhttps?:\/\/[^\s"'<>]+/gi, (url) => url.replace(/\?.+/s, '?…'))
    .replace(/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, '$1 ****')
    // oxlint-disable-next-line no-control-regex -- they are what must go: terminals obey them
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g, ' ')
    .trim();
  return clean.length > limit ? `${clean.slice(0, limit)}…` : clean;
}
