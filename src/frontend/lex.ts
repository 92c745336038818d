import type { Range } from '../util/source.ts';
import type { LogicalText } from './text.ts';
import { rangeOf } from './text.ts';

/** A stretch of an instruction's text as written, or with its quotes taken off where the docstring says so. Not expanded. */
export interface Word {
  readonly text: string;
  readonly range: Range;
}

/** A word with its place in the joined text. */
export interface PlacedWord extends Word {
  readonly start: number;
  readonly end: number;
}

export function wordAt(logical: LogicalText, start: number, end: number): PlacedWord {
  return { text: logical.text.slice(start, end), range: rangeOf(logical, start, end), start, end };
}

/** What separates words, as BuildKit has it: no other blank of Unicode does, a no-break space belongs to its word. */
export const blanks = '\\t\\v\\f\\r\\n ';

const unquoted: RegExp = new RegExp(`[^${blanks}]+`, 'g');

/** Words between blanks; quotes mean nothing here (COPY, EXPOSE, VOLUME, FROM). */
export function splitBlanks(logical: LogicalText, from: number): readonly PlacedWord[] {
  const words: PlacedWord[] = [];
  for (const match of logical.text.slice(from).matchAll(unquoted)) {
    words.push(wordAt(logical, from + match.index, from + match.index + match[0].length));
  }
  return words;
}

/**
 * Words between blanks that stand outside quotes; quotes and escapes are kept as written (ENV, LABEL, ARG). An open quote reaches to the
 * end; `open` then tells so. With `joinsHeredocs` blanks behind `<<` belong to its word.
 */
export function splitQuoted(
  logical: LogicalText,
  from: number,
  { escape, joinsHeredocs = false }: { readonly escape: string; readonly joinsHeredocs?: boolean },
): { readonly words: readonly PlacedWord[]; readonly open: boolean } {
  const { text } = logical;
  const words: PlacedWord[] = [];
  let start: number | undefined;
  let quote = '';
  for (let at = from; at < text.length; at++) {
    const char = text[at] ?? '';
    if (start === undefined) {
      if (/\s/.test(char)) continue;
      start = at;
    }
    if (quote === '' && /\s/.test(char)) {
      words.push(wordAt(logical, start, at));
      start = undefined;
    } else if (joinsHeredocs && quote === '' && text.startsWith('<<', at)) {
      at = skipBlanks(text, at + 2) - 1;
    } else if (char === escape && quote !== "'") at++;
    else if (quote === '' && (char === '"' || char === "'")) quote = char;
    else if (char === quote) quote = '';
  }
  if (start !== undefined) words.push(wordAt(logical, start, text.length));
  return { words, open: quote !== '' };
}

/** A JSON array of strings; 'not-strings' for a JSON array with something else; undefined for anything that is no JSON (L-PARSE-8). */
export function readJsonArray(text: string): readonly string[] | 'not-strings' | undefined {
  if (!text.trimStart().startsWith('[')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  // As Go reads it, half a surrogate pair is no character.
  return value.every((item) => typeof item === 'string')
    ? value.map((item) => item.toWellFormed())
    : 'not-strings';
}

/** The offset of the first character from `from` on that is no blank. */
export function skipBlanks(text: string, from: number): number {
  let at = from;
  while (at < text.length && /\s/.test(text[at] ?? '')) at++;
  return at;
}
