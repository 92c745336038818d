import { BuildError } from '../util/build-error.ts';
import { BadPattern } from '../util/glob.ts';
import type { IgnorePattern, PatternList } from '../util/pattern-list.ts';
import { parseIgnorePattern, patternList } from '../util/pattern-list.ts';

/** A read ignore file. */
export interface IgnoreFile extends PatternList {
  /** As shown to the user. */
  readonly file: string;
}

/**
 * Reads a .dockerignore (L-IGN-2): a byte order mark goes, `#` in column 1 is a comment, blank lines say nothing. The result is
 * for one walk. Throws IGNORE_FILE_INVALID with the line for a bad pattern or a lone `!`.
 */
export function parseIgnore(text: string, file: string): IgnoreFile {
  const patterns: IgnorePattern[] = [];
  const lines = text.replace(/^\uFEFF/u, '').split('\n');
  for (const [index, raw] of lines.entries()) {
    const line = index + 1;
    if (raw.startsWith('#')) continue;
    const fail = (message: string, cause?: unknown): BuildError => {
      const source = { name: file, text };
      const range = { start: { line, column: 1 }, end: { line, column: raw.trimEnd().length + 1 } };
      return new BuildError('IGNORE_FILE_INVALID', message, {
        source: { source, range },
        details: { file, line, pattern: raw.trim() },
        cause,
      });
    };
    if (raw.trim() === '!') throw fail('a lone `!` excludes nothing and includes nothing');
    try {
      const pattern = parseIgnorePattern(raw, line);
      if (pattern !== undefined) patterns.push(pattern);
    } catch (error) {
      if (error instanceof BadPattern) throw fail(`bad pattern: ${error.message}`, error);
      throw error;
    }
  }
  return { file, ...patternList(patterns) };
}
