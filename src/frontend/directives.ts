import type { BuildError } from '../util/build-error.ts';
import { BuildError as Failure } from '../util/build-error.ts';
import type { SourceLocation } from '../util/source.ts';
import type { Word } from './lex.ts';
import type { LineMap } from './text.ts';
import { rangeAt } from './text.ts';

/** The parser directives at the top of a file: section 1.2. */
export interface Directives {
  readonly syntax?: Word | undefined;
  readonly escape: '\\' | '`';
  readonly check?: Word | undefined;
}

/** Reads the directives; `bodyStart` is the offset behind the last one and behind a byte order mark. */
export function parseDirectives(map: LineMap): {
  readonly directives: Directives;
  readonly bodyStart: number;
  readonly errors: readonly BuildError[];
} {
  const { source } = map;
  const bom = source.text.startsWith('\uFEFF') ? 1 : 0;
  const found = new Map<string, Word>();
  const errors: BuildError[] = [];
  let bodyStart = bom;
  let start = bom;
  // A shebang line is skipped when looking for `syntax` and `check`; an escape behind one is a comment, as BuildKit has it (L-PARSE-1).
  const hasShebang = source.text.startsWith('#!', bom);
  if (hasShebang) start = lineEnd(source.text, bom) + 1;
  while (start < source.text.length) {
    const end = lineEnd(source.text, start);
    const line = source.text.slice(start, end);
    const match = /^(\s*#\s*)([a-zA-Z][a-zA-Z0-9]*)(\s*=\s*)(\S.*)$/.exec(line.trimEnd());
    const key = match?.[2]?.toLowerCase();
    if (match === null || key === undefined || !['syntax', 'escape', 'check'].includes(key)) break;
    const [, lead = '', name = '', equals = '', value = ''] = match;
    // What stands behind a blank is a remark.
    const text = key === 'escape' ? value : (value.split(' ', 1)[0] ?? '');
    const at = start + lead.length + name.length + equals.length;
    const word: Word = { text, range: rangeAt(map, at, at + text.length) };
    const location: SourceLocation = { source, range: word.range };
    if (found.has(key)) {
      errors.push(
        new Failure('DOCKERFILE_SYNTAX', `the directive \`${key}\` stands twice; only one is allowed`, {
          source: location,
        }),
      );
    } else if (key === 'escape' && !hasShebang && text !== '\\' && text !== '`') {
      errors.push(
        new Failure('DOCKERFILE_BAD_ARGUMENT', `\`${text}\` cannot be the escape character`, {
          source: location,
          hint: 'use `\\` or a backtick',
        }),
      );
    } else if (key !== 'escape' || !hasShebang) found.set(key, word);
    bodyStart = Math.min(end + 1, source.text.length);
    start = end + 1;
  }
  return {
    directives: {
      syntax: found.get('syntax'),
      escape: found.get('escape')?.text === '`' ? '`' : '\\',
      check: found.get('check'),
    },
    bodyStart,
    errors,
  };
}

/**
 * The frontend that a file is for when it is none of ours: `// syntax=`, or JSON with a `syntax` (L-DIR-1). Docker's own frontend
 * reads such a file as a Dockerfile, and so do we.
 */
export function foreignFrontend(map: LineMap): Word | undefined {
  const text = map.source.text.replace(/^\uFEFF/, '').replace(/^#!.*\n/, '');
  const name = syntaxOfSlashes(text) ?? (/^\s*\{/.test(text) ? syntaxOfJson(text) : undefined);
  if (name === undefined || isOwnFrontend(name)) return undefined;
  const at = map.source.text.indexOf(name);
  return { text: name, range: rangeAt(map, Math.max(at, 0), at < 0 ? 0 : at + name.length) };
}

/** Docker's own frontend, in any form and version of `docker/dockerfile:1`, or the built-in one. */
export function isOwnFrontend(name: string): boolean {
  return /^(?:docker\.io\/)?docker\/dockerfile(?:-upstream)?(?::(?:1|master)(?:[.-].*)?)?(?:@.*)?$|^dockerfile\.v0$/.test(
    name,
  );
}

/** That of `// syntax=` at the top, where the other directives may stand in front of it. */
function syntaxOfSlashes(text: string): string | undefined {
  for (let at = 0; at < text.length; at = lineEnd(text, at) + 1) {
    const line = text.slice(at, lineEnd(text, at)).trim();
    const [, key, value] = /^\/\/\s*(syntax|escape|check)\s*=\s*(\S+)/i.exec(line) ?? [];
    if (key?.toLowerCase() === 'syntax') return value;
    if (line !== '' && key === undefined) return undefined;
  }
  return undefined;
}

function syntaxOfJson(text: string): string | undefined {
  try {
    const value = JSON.parse(text) as { syntax?: unknown };
    return typeof value.syntax === 'string' && value.syntax !== '' ? value.syntax : undefined;
  } catch {
    return undefined;
  }
}

function lineEnd(text: string, from: number): number {
  const at = text.indexOf('\n', from);
  return at < 0 ? text.length : at;
}
