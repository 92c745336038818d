/** One way of authentication that a server offers. */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>;
}

const longest = 16 * 1024;

/**
 * Reads WWW-Authenticate headers (RFC 9110, 11.6.1): several challenges in one header, quoted values with escapes. What cannot be read is
 * left out; a parameter that comes twice counts the first time.
 */
export function parseChallenges(headers: readonly string[]): readonly Challenge[] {
  const found: { scheme: string; parameters: Record<string, string> }[] = [];
  for (const header of headers) {
    if (header.length > longest) continue;
    // A part is `scheme`, `scheme name=value` or `name=value`; commas within quotes are no borders.
    const parts = header.match(/(?:[^",]|"(?:[^"\\]|\\.)*"?)+/g) ?? [];
    for (const part of parts) {
      const read =
        /^(?:([!#$%&'*+.^`|~\w-]+)(?:\s+|$))?(?:([!#$%&'*+.^`|~\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"]*)))?$/s.exec(
          part.trim(),
        );
      if (read === null) continue;
      const [, scheme, name, quoted, bare] = read;
      if (scheme !== undefined) found.push({ scheme: scheme.toLowerCase(), parameters: Object.create(null) });
      const current = found.at(-1);
      if (name === undefined || current === undefined) continue;
      current.parameters[name.toLowerCase()] ??= quoted?.replace(/\\(.)/gs, '$1') ?? bare ?? '';
    }
  }
  return found;
}

/** The first challenge that this client can answer: R-AUTH-1. */
export function chooseChallenge(challenges: readonly Challenge[]): Challenge | undefined {
  return challenges.find(
    ({ scheme, parameters }) =>
      scheme === 'basic' || (scheme === 'bearer' && parameters['realm'] !== undefined),
  );
}
