import { BuildError } from '../util/build-error.ts';
import type { Heredoc } from './heredoc.ts';
import { heredocStarts } from './heredoc.ts';
import type { LineMap } from './text.ts';
import { continuationAt, joinLines, rangeAt } from './text.ts';

const lineLimit = 65_535;

/** A text of the same length in which dockerfile-ast finds the right boundaries, and what was hidden from it. */
export interface MaskedText {
  readonly text: string;
  /** By the offset at which their instruction starts. */
  readonly heredocs: ReadonlyMap<number, readonly Heredoc[]>;
  readonly errors: readonly BuildError[];
}

/**
 * Blanks out what dockerfile-ast misreads: heredoc bodies (it misses `3<<EOF`, and mixes `<<` with `<<-`), escaped escapes at the end of
 * a line, escapes before blanks, comments in a keyword's continuation, lone carriage returns. Continuation marks become backslashes,
 * comments `#xxx`, everything else `x`; offsets stay. Linear in the length of the text.
 */
export function maskForAst(map: LineMap, bodyStart: number, escape: string): MaskedText {
  const { text } = map.source;
  const out: string[] = [text.slice(0, bodyStart).replace(/[^\n]/g, ' ')];
  const heredocs = new Map<number, readonly Heredoc[]>();
  const errors: BuildError[] = [];
  let start: number | undefined;
  let offset = bodyStart;
  while (offset < text.length) {
    const end = lineEnd(text, offset);
    const line = text.slice(offset, end);
    if (line.length > lineLimit / 4 && Buffer.byteLength(line) > lineLimit) {
      errors.push(tooLong(map, offset));
    }
    const trimmed = line.trim();
    let next = end + 1;
    if (trimmed === '') out.push(blank(line));
    else if (trimmed.startsWith('#')) out.push(start === undefined ? maskComment(line) : blank(line));
    else {
      start ??= offset + (line.length - line.trimStart().length);
      const mark = continuationAt(line, escape);
      const kept = maskWords(line.slice(0, mark));
      out.push(mark === undefined ? kept : `${kept}\\${blank(line.slice(mark + 1))}`);
      if (mark === undefined) {
        const starts = heredocStarts(joinLines(map, { start, end }, escape), escape);
        if (starts.length > 0) {
          const bodies: Heredoc[] = [];
          out.push(end < text.length ? '\n' : '');
          next = Math.min(next, text.length);
          for (const head of starts) {
            const found = readBody(map, next, head);
            if (found.missing) errors.push(unterminated(map, head));
            bodies.push(found.heredoc);
            out.push(text.slice(next, found.next).replace(/[^\n]/g, ' '));
            next = found.next;
          }
          heredocs.set(start, bodies);
          start = undefined;
          offset = next;
          continue;
        }
        start = undefined;
      }
    }
    if (end < text.length) out.push('\n');
    offset = next;
  }
  return { text: out.join(''), heredocs, errors };
}

function readBody(
  map: LineMap,
  from: number,
  head: Omit<Heredoc, 'body' | 'terminator' | 'bodyRange'>,
): { heredoc: Heredoc; next: number; missing: boolean } {
  const { text } = map.source;
  let at = from;
  while (at < text.length) {
    const end = lineEnd(text, at);
    const line = text.slice(at, end).replace(/\r+$/, '');
    if ((head.chomp ? line.replace(/^\t+/, '') : line) === head.name) {
      const heredoc = {
        ...head,
        body: text.slice(from, at),
        terminator: line,
        bodyRange: rangeAt(map, from, end),
      };
      return { heredoc, next: Math.min(end + 1, text.length), missing: false };
    }
    at = end + 1;
  }
  const heredoc = {
    ...head,
    body: text.slice(from),
    terminator: head.name,
    bodyRange: rangeAt(map, from, text.length),
  };
  return { heredoc, next: text.length, missing: true };
}

function unterminated(map: LineMap, head: { name: string; word: Heredoc['word'] }): BuildError {
  return new BuildError('DOCKERFILE_SYNTAX', `the heredoc \`${head.name}\` has no end`, {
    source: { source: map.source, range: head.word.range },
    hint: `end it with a line that holds \`${head.name}\` alone`,
  });
}

function tooLong(map: LineMap, offset: number): BuildError {
  return new BuildError('DOCKERFILE_SYNTAX', `a line has more than ${lineLimit} bytes`, {
    source: { source: map.source, range: rangeAt(map, offset, offset + 1) },
  });
}

function maskComment(line: string): string {
  const hash = line.indexOf('#');
  return `${blank(line.slice(0, hash))}#${'x'.repeat(line.trimEnd().length - hash - 1)}`.padEnd(line.length);
}

/** The first word and one for all that follows, where they stand. */
function maskWords(line: string): string {
  const [, lead = '', word = '', gap = '', rest = ''] = /^(\s*)(\S*)(\s*)(.*)$/s.exec(line.trimEnd()) ?? [];
  return `${blank(lead)}${'x'.repeat(word.length)}${blank(gap)}${'x'.repeat(rest.length)}`.padEnd(
    line.length,
  );
}

function blank(line: string): string {
  return ' '.repeat(line.length);
}

function lineEnd(text: string, from: number): number {
  const at = text.indexOf('\n', from);
  return at < 0 ? text.length : at;
}
