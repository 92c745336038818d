import { didYouMean } from '../../util/suggest.ts';

/** What `# check=` or the build-arg BUILDKIT_DOCKERFILE_CHECK says (L-DIR-3). */
export interface CheckOptions {
  /** Rule names, or `all`. */
  readonly skip: readonly string[];
  /** A finding fails the build. */
  readonly error: boolean;
  readonly experimental: readonly string[];
  /** What is wrong with the text, where something is. */
  readonly fault?: { readonly message: string; readonly hint: string } | undefined;
}

const keys = ['skip', 'error', 'experimental'];

/** Reads `skip=A,B;error=true;experimental=all`; undefined means nothing. Keys in any case. */
export function readCheckOptions(text: string | undefined): CheckOptions {
  const values = new Map<string, string>();
  let fault: CheckOptions['fault'];
  for (const part of text === undefined || text.trim() === '' ? [] : text.split(';')) {
    const equals = part.indexOf('=');
    const key = part
      .slice(0, equals < 0 ? undefined : equals)
      .trim()
      .toLowerCase();
    const value = equals < 0 ? '' : part.slice(equals + 1).trim();
    if (equals < 0 || !keys.includes(key)) {
      const message = `\`${part.trim().slice(0, 80)}\` is no option of a check`;
      fault ??= {
        message,
        hint: didYouMean(key, keys) ?? 'write skip=<rules>;error=true;experimental=<rules>',
      };
    } else if (key === 'error' && !/^(?:1|t|true|0|f|false)$/i.test(value)) {
      fault ??= {
        message: `\`error\` is either true or false, not \`${value.slice(0, 80)}\``,
        hint: 'write error=true',
      };
    } else values.set(key, value);
  }
  const list = (key: string): readonly string[] =>
    (values.get(key) ?? '')
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
  return {
    skip: list('skip'),
    error: /^(?:1|t|true)$/i.test(values.get('error') ?? ''),
    experimental: list('experimental'),
    fault,
  };
}

/** Whether a list of rule names has this one; case does not count. */
export function namesRule(list: readonly string[], rule: string): boolean {
  return list.some((name) => name.toLowerCase() === 'all' || name.toLowerCase() === rule.toLowerCase());
}
