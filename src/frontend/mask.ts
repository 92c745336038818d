import { BuildError } from '../util/build-error.ts';
import { mostErrors } from './draft.ts';
import type { Heredoc, HeredocStart } from './heredoc.ts';
import { heredocStarts } from './heredoc.ts';
import type { LineMap } from './text.ts';
import { continuationAt, joinLines, positionAt, rangeAt } from './text.ts';

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
  // Where an escape stands alone in front of an instruction: what it continues with begins it.
  let lone: number | undefined;
  let offset = bodyStart;
  while (offset < text.length) {
    const end = lineEnd(text, offset);
    const line = text.slice(offset, end);
    checkLength(map, { start: offset, line }, errors);
    const trimmed = line.trim();
    let next = end + 1;
    if (trimmed === '') out.push(blank(line));
    else if (trimmed === escape && start === undefined) {
      lone ??= offset + line.indexOf(escape);
      out.push(blank(line));
    } else if (trimmed.startsWith('#')) out.push(start === undefined ? maskComment(line) : blank(line));
    else {
      start ??= offset + (line.length - line.trimStart().length);
      lone = undefined;
      const mark = continuationAt(line, escape);
      const kept = maskWords(line.slice(0, mark));
      out.push(mark === undefined ? kept : `${kept}\\${blank(line.slice(mark + 1))}`);
      if (mark === undefined) {
        const starts = heredocStarts(joinLines(map, { start, end }, escape));
        if (starts.length > 0) {
          const bodies: Heredoc[] = [];
          out.push(end < text.length ? '\n' : '');
          next = Math.min(next, text.length);
          for (const head of starts) {
            if (errors.length >= mostErrors) break;
            const found = readBody(map, { from: next, head }, errors);
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
  if (lone !== undefined) errors.push(continuesNothing(map, lone));
  return { text: out.join(''), heredocs, errors };
}

function readBody(
  map: LineMap,
  { from, head }: { from: number; head: HeredocStart },
  errors: BuildError[],
): { heredoc: Heredoc; next: number } {
  const { text } = map.source;
  let at = from;
  let almost: number | undefined;
  while (at < text.length) {
    const end = lineEnd(text, at);
    const line = withoutReturns(text.slice(at, end));
    checkLength(map, { start: at, line }, errors);
    if ((head.chomp ? line.replace(/^\t+/, '') : line) === head.name) {
      const heredoc = {
        ...head,
        body: text.slice(from, at),
        terminator: line,
        bodyRange: rangeAt(map, from, end),
      };
      return { heredoc, next: Math.min(end + 1, text.length) };
    }
    if (almost === undefined && line.trim() === head.name) almost = at;
    at = end + 1;
  }
  const heredoc = {
    ...head,
    body: text.slice(from),
    terminator: head.name,
    bodyRange: rangeAt(map, from, text.length),
  };
  errors.push(unterminated(map, head, almost));
  return { heredoc, next: text.length };
}

/** `almost`: where a line stands that is the delimiter with blanks around it. */
function unterminated(map: LineMap, { name, word }: HeredocStart, almost: number | undefined): BuildError {
  const hint =
    almost === undefined
      ? `end it with a line that holds \`${name}\` alone`
      : `line ${positionAt(map, almost).line} has blanks around \`${name}\`: take them away (with \`<<-\` tabs may stand in front)`;
  return new BuildError('DOCKERFILE_SYNTAX', `the heredoc \`${name}\` has no end`, {
    source: { source: map.source, range: word.range },
    hint,
  });
}

function checkLength(
  map: LineMap,
  { start, line }: { start: number; line: string },
  errors: BuildError[],
): void {
  if (line.length <= lineLimit / 4 || Buffer.byteLength(line) <= lineLimit) return;
  errors.push(
    new BuildError('DOCKERFILE_SYNTAX', `a line has more than ${lineLimit} bytes`, {
      source: { source: map.source, range: rangeAt(map, start, start + 1) },
    }),
  );
}

function continuesNothing(map: LineMap, offset: number): BuildError {
  return new BuildError('DOCKERFILE_SYNTAX', 'the line is continued, and no instruction follows', {
    source: { source: map.source, range: rangeAt(map, offset, offset + 1) },
    hint: 'take it away',
  });
}

function withoutReturns(line: string): string {
  let end = line.length;
  while (line[end - 1] === '\r') end--;
  return line.slice(0, end);
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
