import type { Glob } from './glob.ts';
import { compileGlob, matchGlob, mayMatchBelow } from './glob.ts';

/** One line of an ignore file, or one --exclude. */
export interface IgnorePattern {
  /** As written. */
  readonly text: string;
  /** 1-based; 0 for a flag. */
  readonly line: number;
  /** `!`: takes back what earlier lines excluded. */
  readonly negated: boolean;
  readonly glob: Glob;
}

/** Decides which paths a list of patterns excludes: the last pattern that matches the path or a directory above it wins (L-IGN-3). */
export interface PatternList {
  readonly patterns: readonly IgnorePattern[];
  /** Whether `path` is excluded, and by which pattern; undefined: not excluded. The root '' never is. */
  excluded(path: string): IgnorePattern | undefined;
  /** For a directory that is excluded: whether all below it is too, so that it need not be walked. */
  canPrune(directory: string): boolean;
}

/**
 * Reads one pattern as .dockerignore has it (L-IGN-2): trimmed, `!` negates, the path is cleaned, a leading `/` goes.
 * undefined: the pattern says nothing (empty, or the root). Throws BadPattern.
 */
export function parseIgnorePattern(text: string, line: number): IgnorePattern | undefined {
  let rest = text.trim();
  const negated = rest.startsWith('!');
  if (negated) rest = rest.slice(1).trim();
  if (rest === '') return undefined;
  const cleaned = cleanPattern(rest);
  if (cleaned === '') return undefined;
  return { text: text.trim(), line, negated, glob: compileGlob(cleaned, { globstar: true }) };
}

// Go's filepath.Clean, then without a leading slash: `..` parts that climb above the start stay and match nothing.
function cleanPattern(text: string): string {
  const rooted = text.startsWith('/');
  const parts: string[] = [];
  for (const part of text.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else if (part !== '..' || !rooted) parts.push(part);
  }
  return parts.join('/');
}

/** Makes the list. Answers for directories are remembered: a list belongs to one walk of one tree. */
export function patternList(patterns: readonly IgnorePattern[]): PatternList {
  const known = new Map<string, Uint8Array>();
  const none = new Uint8Array(patterns.length);

  // For each pattern: does it match the directory, or one above it?
  const matches = (directory: string): Uint8Array => {
    if (directory === '') return none;
    const found = known.get(directory);
    if (found !== undefined) return found;
    const parent = matches(parentPath(directory));
    const own = Uint8Array.from(patterns, ({ glob }, index) =>
      parent[index] === 1 || matchGlob(glob, directory) ? 1 : 0,
    );
    known.set(directory, own);
    return own;
  };

  // Of the path itself nothing is remembered: most paths are files, and are asked about once.
  const deciding = (path: string): number => {
    if (path === '') return -1;
    const parent = matches(parentPath(path));
    return patterns.findLastIndex(({ glob }, index) => parent[index] === 1 || matchGlob(glob, path));
  };

  return {
    patterns,
    excluded(path) {
      const pattern = patterns[deciding(path)];
      return pattern === undefined || pattern.negated ? undefined : pattern;
    },
    canPrune(directory) {
      const index = deciding(directory);
      if (index < 0 || patterns[index]?.negated === true) return false;
      // Only a later `!` can take something below back: an earlier one loses against the pattern that decided.
      return !patterns
        .slice(index + 1)
        .some(({ negated, glob }) => negated && mayMatchBelow(glob, `${directory}/`));
    },
  };
}

function parentPath(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
