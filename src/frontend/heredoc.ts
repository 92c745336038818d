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
  /** False where the delimiter has quotes; an escape is none, other than in a shell. */
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
function heredocStart(word: PlacedWord): HeredocStart | undefined {
  const match = /^(\d*)<<(-?)\s*([^<]*)$/.exec(word.text);
  if (match === null) return undefined;
  const [, fd = '', dash = '', delimiter = ''] = match;
  const { name, quoted } = unquote(delimiter);
  if (name === '') return undefined;
  return { name, chomp: dash !== '', expand: !quoted, fd, word };
}

/**
 * The heredocs that an instruction starts, in order; none in JSON form and in instructions other than RUN, COPY, ADD, ONBUILD of these.
 * Here the escape is always a backslash, whatever the directive says. A shift in `$((1 << 2))` is no heredoc: BuildKit takes it for
 * one since blanks may stand behind `<<`, and then misses its end.
 */
export function heredocStarts(logical: LogicalText): readonly HeredocStart[] {
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
  const { words, open } = splitQuoted(logical, at, { escape: '\\', joinsHeredocs: true });
  if (open) return [];
  const starts: HeredocStart[] = [];
  let inArithmetic = false;
  let seen = at;
  for (const word of words) {
    for (const [mark] of logical.text.slice(seen, word.start).matchAll(/\(\(|\)\)/g))
      inArithmetic = mark === '((';
    seen = word.start;
    const start = inArithmetic ? undefined : heredocStart(word);
    if (start !== undefined) starts.push(start);
  }
  return starts;
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

function unquote(text: string): { readonly name: string; readonly quoted: boolean } {
  let name = '';
  let quote = '';
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? '';
    const next = text[at + 1] ?? '';
    if (char === '\\' && (quote === '' || (quote === '"' && /["$\\]/.test(next)))) {
      name += next;
      at++;
    } else if (quote === '' && (char === '"' || char === "'")) {
      quote = char;
      quoted = true;
    } else if (char === quote) quote = '';
    else name += char;
  }
  return { name, quoted };
}
