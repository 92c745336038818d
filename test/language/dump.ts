import type { ParsedDockerfile } from '../../src/frontend/parse.ts';
import type { BuildError } from '../../src/util/build-error.ts';
import type { Range } from '../../src/util/source.ts';

/** `3:1-3:9`: from where, and up to but not including where. */
export function place({ start, end }: Range): string {
  return `${start.line}:${start.column}-${end.line}:${end.column}`;
}

export function faultLine({ code, message, hint, source }: BuildError): string {
  const where = source === undefined ? '-' : place(source.range);
  return `${code} ${where} ${message}${hint === undefined ? '' : ` | ${hint}`}`;
}

const skipped = new Set(['source', 'range', 'keyword', 'kind']);

/** A value of an instruction in one line: words with their place, other things as JSON. */
function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'undefined';
  const { range, text, start: _start, end: _end, ...more } = value as Record<string, unknown>;
  const rest = Object.entries(more)
    .filter(([, item]) => item !== undefined)
    .map(([key, item]) => `${key}=${/Range$/.test(key) ? place(item as Range) : inline(item)}`);
  const word = text === undefined ? [] : [JSON.stringify(text)];
  const all = [...word, ...rest].join(' ');
  const at = range === undefined ? '' : `@${place(range as Range)}`;
  return rest.length === 0 ? `${all}${at}` : `{${all}}${at}`;
}

/** All that a parsed Dockerfile says, for people to read. */
export function dump(file: ParsedDockerfile): string {
  const lines: string[] = [];
  const { syntax, escape, check } = file.directives;
  if (syntax !== undefined) lines.push(`syntax ${inline(syntax)}`);
  if (escape !== '\\') lines.push(`escape ${escape}`);
  if (check !== undefined) lines.push(`check ${inline(check)}`);
  for (const instruction of file.instructions) {
    lines.push(`${instruction.kind} @${place(instruction.range)} keyword ${inline(instruction.keyword)}`);
    for (const [key, value] of Object.entries(instruction)) {
      const empty = value === undefined || (Array.isArray(value) && value.length === 0);
      if (!skipped.has(key) && !empty) lines.push(`  ${key} ${inline(value)}`);
    }
  }
  for (const { range } of file.emptyContinuations) lines.push(`empty line @${place(range)}`);
  lines.push(...file.errors.map((error) => `error ${faultLine(error)}`));
  return lines.map((line) => `${line}\n`).join('');
}
