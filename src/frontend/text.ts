import type { Position, Range, SourceText } from '../util/source.ts';

/** Turns offsets of one text into positions. */
export interface LineMap {
  readonly source: SourceText;
  /** Offset of the first character of each line. */
  readonly starts: readonly number[];
}

export function lineMap(source: SourceText): LineMap {
  const starts = [0];
  for (let at = source.text.indexOf('\n'); at >= 0; at = source.text.indexOf('\n', at + 1))
    starts.push(at + 1);
  return { source, starts };
}

/** 1-based line and column of an offset; offsets past the end are clamped. */
export function positionAt(map: LineMap, offset: number): Position {
  const clamped = Math.max(0, Math.min(offset, map.source.text.length));
  let low = 0;
  let high = map.starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((map.starts[middle] ?? 0) <= clamped) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: clamped - (map.starts[low] ?? 0) + 1 };
}

export function rangeAt(map: LineMap, start: number, end: number): Range {
  return { start: positionAt(map, start), end: positionAt(map, Math.max(start, end)) };
}

/** The text of one instruction with its continuation lines joined; `pieces` say where each stretch of it stands in the file. */
export interface LogicalText {
  readonly text: string;
  readonly pieces: readonly { readonly at: number; readonly offset: number }[];
  readonly map: LineMap;
  /** Offsets of lines inside it that are empty (NoEmptyContinuation). */
  readonly emptyLines: readonly number[];
}

/** The range in the file of the characters `start` to `end` (exclusive) of a joined text. */
export function rangeOf(logical: LogicalText, start: number, end: number): Range {
  const first = sourceOffset(logical, start);
  const last = end > start ? sourceOffset(logical, end - 1) + 1 : first;
  return rangeAt(logical.map, first, last);
}

function sourceOffset(logical: LogicalText, at: number): number {
  const { pieces } = logical;
  let low = 0;
  let high = pieces.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((pieces[middle]?.at ?? 0) <= at) low = middle;
    else high = middle - 1;
  }
  const piece = pieces[low] ?? { at: 0, offset: 0 };
  return piece.offset + at - piece.at;
}

/** Where a line's continuation mark stands; undefined: the instruction ends here. An escaped escape continues nothing (L-PARSE-6). */
export function continuationAt(line: string, escape: string): number | undefined {
  let end = line.length;
  while (end > 0 && (line[end - 1] === ' ' || line[end - 1] === '\t' || line[end - 1] === '\r')) end--;
  if (end === 0 || line[end - 1] !== escape) return undefined;
  return end > 1 && line[end - 2] === escape ? undefined : end - 1;
}

/** Joins the lines between two offsets: continuation marks, comment lines and empty lines inside are dropped (L-PARSE-4 to 6). */
export function joinLines(map: LineMap, span: { start: number; end: number }, escape: string): LogicalText {
  const { text } = map.source;
  const pieces: { at: number; offset: number }[] = [];
  const emptyLines: number[] = [];
  const parts: string[] = [];
  let length = 0;
  let offset = span.start;
  let first = true;
  while (offset < span.end || first) {
    const newline = text.indexOf('\n', offset);
    const end = newline < 0 || newline > span.end ? span.end : newline;
    const line = text.slice(offset, end);
    const trimmed = line.trim();
    if (!first && trimmed === '') {
      if (end < span.end) emptyLines.push(offset);
    } else if (first || !trimmed.startsWith('#')) {
      const mark = continuationAt(line, escape);
      const kept = line.slice(0, mark ?? line.length);
      pieces.push({ at: length, offset });
      parts.push(kept);
      length += kept.length;
    }
    first = false;
    offset = end + 1;
  }
  return { text: parts.join('').trimEnd(), pieces, map, emptyLines };
}
