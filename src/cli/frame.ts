import type { SourceLocation, SourceText } from '../index.ts';
import { sanitizeLine } from './sanitize.ts';
import type { Style } from './style.ts';
import { displayWidth, expandTabs } from './width.ts';

/** Lines of a range that are shown at its start and end before the middle is left out. */
const shownAtStart = 6;
const shownAtEnd = 2;
/** Columns of a line that are shown; a longer one is cut around the range. */
const longestLine = 140;

/**
 * The user's own lines with what is meant marked: carets under a range within one line, a bracket beside several
 * lines (E-1; the look is that of rustc). Ends with a newline. A place outside the text gives its header alone.
 */
export function codeFrame(location: SourceLocation, style: Style): string {
  const lines = linesOf(location.source);
  const { start } = location.range;
  const end = lastPosition(location, lines);
  const numbers = lineNumbers(start.line, Math.min(end.line, lines.length));
  const gutter = String(numbers.at(-1) ?? start.line).length;
  const place = `${sanitizeLine(location.source.name)}:${start.line}:${start.column}`;
  let out = `${' '.repeat(gutter)} ${style.dim('┌─')} ${place}\n`;
  const single = end.line === start.line;
  let previous = 0;
  for (const number of numbers) {
    if (previous !== 0 && number !== previous + 1) out += `${' '.repeat(gutter)} ${style.dim('⋮')}\n`;
    previous = number;
    const bar = style.dim(`${String(number).padStart(gutter)} │`);
    const raw = (lines[number - 1] ?? '').replace(/\r$/, '');
    if (!single) {
      const bracket = number === start.line ? '╭' : number === end.line ? '╰' : '│';
      out += `${`${bar} ${style.red(bracket)} ${clip(printable(raw), 0).text}`.trimEnd()}\n`;
      continue;
    }
    const before = displayWidth(printable(raw.slice(0, start.column - 1)));
    const upTo = displayWidth(printable(raw.slice(0, end.column - 1)));
    const shown = clip(printable(raw), before);
    const caret = before - shown.offset;
    const length = Math.max(1, Math.min(upTo - before, displayWidth(shown.text) - caret));
    out += `${`${bar} ${shown.text}`.trimEnd()}\n`;
    out += `${' '.repeat(gutter)} ${style.dim('│')} ${' '.repeat(caret)}${style.red('^'.repeat(length))}\n`;
  }
  return out;
}

const split = new WeakMap<SourceText, readonly string[]>();

/** The lines of a text, with what a line feed of Windows leaves at their ends. A text is taken apart once, however many findings it has. */
export function linesOf(source: SourceText): readonly string[] {
  let lines = split.get(source);
  if (lines === undefined) split.set(source, (lines = source.text.split('\n')));
  return lines;
}

/** The place after the last character, never behind the line feed that ends it. */
function lastPosition(location: SourceLocation, lines: readonly string[]): { line: number; column: number } {
  const { start, end } = location.range;
  if (end.line > start.line && end.column === 1) {
    return { line: end.line - 1, column: (lines[end.line - 2]?.length ?? 0) + 1 };
  }
  return end.line < start.line ? start : end;
}

function lineNumbers(first: number, last: number): readonly number[] {
  const all = Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
  if (all.length <= shownAtStart + shownAtEnd + 1) return all;
  return [...all.slice(0, shownAtStart), ...all.slice(-shownAtEnd)];
}

// Controls become visible characters of the same width in front of and behind them, so carets stay where they belong.
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  return expandTabs(text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, '�'));
}

function clip(text: string, around: number): { readonly text: string; readonly offset: number } {
  if (displayWidth(text) <= longestLine) return { text, offset: 0 };
  const from = around < longestLine - 20 ? 0 : around - 40;
  const characters = Array.from(text);
  const head = from === 0 ? '' : '…';
  const cut = characters.slice(from, from + longestLine).join('');
  const tail = from + longestLine < characters.length ? '…' : '';
  return {
    text: `${head}${cut}${tail}`,
    offset: from === 0 ? 0 : displayWidth(characters.slice(0, from).join('')) - 1,
  };
}
