import type { Range } from '../util/source.ts';
import { skipBlanks } from './lex.ts';
import type { LogicalText } from './text.ts';
import { rangeOf } from './text.ts';

/** A builder flag as written, quotes and escapes taken off: `--chown=a:b`. `value` is undefined for a flag without `=`. */
export interface Flag {
  readonly name: string;
  readonly value: string | undefined;
  readonly range: Range;
  readonly nameRange: Range;
  readonly valueRange: Range;
}

/**
 * Reads the words that start with `--` from offset `from` on; a bare `--` ends them (L-PARSE-9). `rest` is the offset of what follows.
 * Here the escape is always a backslash, whatever the directive says: so BuildKit has it.
 */
export function lexFlags(
  logical: LogicalText,
  from: number,
): { readonly flags: readonly Flag[]; readonly rest: number } {
  const { text } = logical;
  const flags: Flag[] = [];
  let at = skipBlanks(text, from);
  while (text.startsWith('--', at)) {
    const start = at;
    const word = flagWord(text, start);
    at = skipBlanks(text, word.end);
    if (word.text === '--') break;
    const equals = word.text.indexOf('=');
    const rawEquals = start + text.slice(start, word.end).indexOf('=');
    const hasValue = equals >= 0 && rawEquals >= start;
    flags.push({
      name: (equals < 0 ? word.text : word.text.slice(0, equals)).slice(2),
      value: equals < 0 ? undefined : word.text.slice(equals + 1),
      range: rangeOf(logical, start, word.end),
      nameRange: rangeOf(logical, start, hasValue ? rawEquals : word.end),
      valueRange: rangeOf(logical, hasValue ? rawEquals + 1 : start, word.end),
    });
  }
  return { flags, rest: at };
}

function flagWord(text: string, start: number): { text: string; end: number } {
  let out = '';
  let quote = '';
  let at = start;
  for (; at < text.length; at++) {
    const char = text[at] ?? '';
    if (quote === '' && /\s/.test(char)) break;
    if (char === '\\') out += text[++at] ?? '';
    else if (quote === '' && (char === '"' || char === "'")) quote = char;
    else if (char === quote) quote = '';
    else out += char;
  }
  return { text: out, end: Math.min(at, text.length) };
}
