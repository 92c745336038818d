/** What `# check=` or the build-arg BUILDKIT_DOCKERFILE_CHECK says (L-DIR-3). */
export interface CheckOptions {
  /** Rule names, or `all`. */
  readonly skip: readonly string[];
  /** A finding fails the build. */
  readonly error: boolean;
  readonly experimental: readonly string[];
}

/** Reads `skip=A,B;error=true;experimental=all`. Unknown keys and undefined mean nothing. */
export function readCheckOptions(text: string | undefined): CheckOptions {
  const values = new Map<string, string>();
  for (const part of (text ?? '').split(';')) {
    const equals = part.indexOf('=');
    if (equals > 0) values.set(part.slice(0, equals).trim().toLowerCase(), part.slice(equals + 1).trim());
  }
  const list = (key: string): readonly string[] =>
    (values.get(key) ?? '')
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
  return {
    skip: list('skip'),
    error: values.get('error')?.toLowerCase() === 'true',
    experimental: list('experimental'),
  };
}

/** Whether a list of rule names has this one; case does not count. */
export function namesRule(list: readonly string[], rule: string): boolean {
  return list.some((name) => name.toLowerCase() === 'all' || name.toLowerCase() === rule.toLowerCase());
}
