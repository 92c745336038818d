import type { Range } from '../util/source.ts';
import { lexFlags } from './flags.ts';
import type { PlacedWord } from './lex.ts';
import { readJsonArray, skipBlanks, splitQuoted } from './lex.ts';
import type { LogicalText } from './text.ts';

/** A here-document's start, as in `3<<-"EOF"`. */
export interface HeredocStart {
  /** The delimiter without its quotes. */
  readonly name: string;
  /** `<<-`: leading tabs of the body and of the delimiter do not count. */
  readonly chomp: boolean;
  /** False where the delimiter was quoted. */
  readonly expand: boolean;
  readonly fd: string;
  readonly word: PlacedWord;
}

/** A here-document (L-HD). `body` is as written, each line with its line end; `terminator` is the last line as written. */
export interface Heredoc extends HeredocStart {
  readonly body: string;
  readonly terminator: string;
  readonly bodyRange: Range;
}

/** Reads one word as a heredoc's start; undefined for any other word (L-HD-1). */
export function heredocStart(word: PlacedWord, escape: string): HeredocStart | undefined {
  const match = /^(\d*)<<(-?)([^<]+)$/.exec(word.text);
  if (match === null) return undefined;
  const [, fd = '', dash = '', delimiter = ''] = match;
  const name = unquote(delimiter, escape);
  if (name === '') return undefined;
  return { name, chomp: dash !== '', expand: name === delimiter, fd, word };
}

/** The heredocs that an instruction starts, in order; none in JSON form and in instructions other than RUN, COPY, ADD, ONBUILD of these. */
export function heredocStarts(logical: LogicalText, escape: string): readonly HeredocStart[] {
  if (!logical.text.includes('<<')) return [];
  let match = /^(\S+)\s*/.exec(logical.text);
  let at = match?.[0].length ?? 0;
  if (match?.[1]?.toUpperCase() === 'ONBUILD') {
    match = /^(\S+)\s*/.exec(logical.text.slice(at));
    at += match?.[0].length ?? 0;
  }
  if (!['RUN', 'COPY', 'ADD'].includes(match?.[1]?.toUpperCase() ?? '')) return [];
  const { rest } = lexFlags(logical, at);
  if (Array.isArray(readJsonArray(logical.text.slice(skipBlanks(logical.text, rest))))) return [];
  const { words, open } = splitQuoted(logical, at, escape);
  if (open) return [];
  return words.map((word) => heredocStart(word, escape)).filter((start) => start !== undefined);
}

/** The body as the step sees it: without leading tabs for `<<-`. */
export function heredocContent(heredoc: { readonly body: string; readonly chomp: boolean }): string {
  return heredoc.chomp ? heredoc.body.replace(/^\t+/gm, '') : heredoc.body;
}

/** `(first line...)`, for step names (L-HD-5). */
export function summarizeHeredoc(body: string): string {
  const trimmed = body.trim();
  const [first = ''] = trimmed.split('\n', 1);
  const cut = first.trimEnd().length > 80 ? first.slice(0, 80) : first.trimEnd();
  return cut.length < trimmed.length ? `(${cut}...)` : `(${cut})`;
}

function unquote(text: string, escape: string): string {
  let out = '';
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? '';
    if (char === escape && quote !== "'") out += text[++at] ?? '';
    else if (quote === '' && (char === '"' || char === "'")) quote = char;
    else if (char === quote) quote = '';
    else out += char;
  }
  return out;
}
