import { BuildError } from '../util/build-error.ts';

/**
 * One record of comma-separated values as docker's flags take it (RFC 4180): a field that starts with a quote runs to
 * the closing one and may hold commas, `""` in it is a quote. Throws USAGE for a quote that is not closed.
 */
export function parseCsv(text: string): readonly string[] {
  const fields: string[] = [];
  let rest = text;
  for (;;) {
    if (rest.startsWith('"')) {
      const match = /^"((?:[^"]|"")*)"(?=,|$)/.exec(rest);
      if (match === null) throw new BuildError('USAGE', `the quotes in \`${text}\` do not match`);
      fields.push((match[1] ?? '').replaceAll('""', '"'));
      rest = rest.slice(match[0].length);
    } else {
      const end = rest.indexOf(',');
      fields.push(end === -1 ? rest : rest.slice(0, end));
      rest = end === -1 ? '' : rest.slice(end);
    }
    if (rest === '') return fields;
    rest = rest.slice(1);
  }
}

/** `key=value` split at the first `=`; the value is undefined where there is none. */
export function splitPair(text: string): readonly [key: string, value: string | undefined] {
  const at = text.indexOf('=');
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

/** `true` or `false` as Go's flags read them. Throws USAGE for other words. */
export function parseBoolean(text: string, name: string): boolean {
  if (/^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw new BuildError('USAGE', `\`${name}\` must be true or false, not \`${text}\``);
}
