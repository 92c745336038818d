import { BuildError } from './build-error.ts';

/** One step of a compiled pattern. Characters are code points. */
type Token =
  | { readonly kind: 'literal'; readonly code: number }
  /** `?`: one character, not `/`. */
  | { readonly kind: 'one' }
  /** `*`: any number of characters, none `/`. */
  | { readonly kind: 'many' }
  /** `**` before more: nothing, or anything that ends in `/`. */
  | { readonly kind: 'directories' }
  /** `**` at the end, or before plain text: anything. */
  | { readonly kind: 'rest' }
  | {
      readonly kind: 'class';
      readonly negated: boolean;
      readonly ranges: readonly (readonly [number, number])[];
    };

/** A compiled pattern. Matching takes time proportional to pattern times text, whatever the pattern. */
export interface Glob {
  readonly pattern: string;
  readonly tokens: readonly Token[];
  /** The text that alone matches, when there is no wildcard. */
  readonly literal: string | undefined;
}

const STAR = 0x2a;
const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const DASH = 0x2d;

/** Thrown for a pattern that cannot be read: an unclosed or empty class, a range from high to low, a trailing backslash. Callers give
 * it a code. */
export class BadPattern extends Error {
  override readonly name = 'BadPattern';
}

/**
 * Reads a pattern of Go's path/filepath.Match: `*`, `?`, `[a-z]`, `[^x]`, `\` escapes, `/` matched by no wildcard but a class.
 * With `globstar`, `**` crosses `/` as in .dockerignore (L-IGN-3): `**` + `/` is any number of directories, none too; a final
 * `**` is everything below; and a first `**` with nothing but plain text after it takes whatever ends so: `**.pyc` is for `x.pyc` too,
 * as Docker has it. Throws BadPattern.
 */
export function compileGlob(pattern: string, options: { readonly globstar: boolean }): Glob {
  const codes = Array.from(pattern, (character) => character.codePointAt(0) as number);
  const tokens: Token[] = [];
  let at = 0;
  while (at < codes.length) {
    const code = codes[at++] as number;
    if (code === STAR && options.globstar && codes[at] === STAR) {
      at += 1;
      const separate = codes[at] === SLASH;
      if (separate) at += 1;
      const anyEnd = at >= codes.length || (at === 2 && !separate && isPlain(codes, at));
      const kind = anyEnd ? 'rest' : 'directories';
      // Many in a row are one: `add` below goes from each to the next.
      if (tokens.at(-1)?.kind !== kind) tokens.push({ kind });
    } else if (code === STAR) {
      if (tokens.at(-1)?.kind !== 'many') tokens.push({ kind: 'many' });
    } else if (code === 0x3f) {
      tokens.push({ kind: 'one' });
    } else if (code === 0x5b) {
      const parsed = readClass(codes, at, pattern);
      tokens.push(parsed.token);
      at = parsed.next;
    } else if (code === BACKSLASH) {
      const escaped = codes[at++];
      if (escaped === undefined) throw new BadPattern(`\`${pattern}\` ends in a lone backslash`);
      tokens.push({ kind: 'literal', code: escaped });
    } else {
      tokens.push({ kind: 'literal', code });
    }
  }
  const plain = tokens.every((token) => token.kind === 'literal');
  const literal = plain
    ? tokens.map((token) => (token.kind === 'literal' ? String.fromCodePoint(token.code) : '')).join('')
    : undefined;
  return { pattern, tokens, literal };
}

/** Whether no character from `start` on means anything but itself. */
function isPlain(codes: readonly number[], start: number): boolean {
  return codes.slice(start).every((code) => !special.has(code));
}

const special: ReadonlySet<number> = new Set(Array.from('*?[]\\', (character) => character.charCodeAt(0)));

function readClass(
  codes: readonly number[],
  start: number,
  pattern: string,
): { readonly token: Token; readonly next: number } {
  let at = start;
  const negated = codes[at] === 0x5e;
  if (negated) at += 1;
  const bound = (): number => {
    let code = codes[at++];
    if (code === DASH || code === 0x5d) {
      throw new BadPattern(`\`${pattern}\` has a character class with a misplaced \`-\` or \`]\``);
    }
    if (code === BACKSLASH) code = codes[at++];
    if (code === undefined || at >= codes.length) {
      throw new BadPattern(
        `\`${pattern}\` has a character class that is not closed; write \`[[]\` for a bracket`,
      );
    }
    return code;
  };
  const ranges: (readonly [number, number])[] = [];
  do {
    const low = bound();
    let high = low;
    if (codes[at] === DASH) {
      at += 1;
      high = bound();
      if (high < low) throw new BadPattern(`\`${pattern}\` has a range that goes from high to low`);
    }
    ranges.push([low, high]);
  } while (codes[at] !== 0x5d);
  return { token: { kind: 'class', negated, ranges }, next: at + 1 };
}

/** Whether the text has characters that make it a pattern: `*`, `?`, `[` (a backslash alone only escapes). */
export function hasWildcard(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '\\') at += 1;
    else if (character === '*' || character === '?' || character === '[') return true;
  }
  return false;
}

/** The text without its escapes: what a pattern without wildcards names. */
export function unescapeGlob(text: string): string {
  return text.replaceAll(/\\(.)/gsu, '$1');
}

/** Whether the whole of `text` matches. */
export function matchGlob(glob: Glob, text: string): boolean {
  if (glob.literal !== undefined) return glob.literal === text;
  const states = run(glob, text);
  return states.includes(glob.tokens.length);
}

/** Whether some longer text that starts with `prefix` could match. */
export function mayMatchBelow(glob: Glob, prefix: string): boolean {
  if (glob.literal !== undefined)
    return glob.literal.length > prefix.length && glob.literal.startsWith(prefix);
  return run(glob, prefix).some((state) => state < glob.tokens.length);
}

// States are positions in `tokens`; the set after each character is kept instead of one guess with backtracking, so no
// pattern can take exponential time. `directories` needs two: before it (where it may end, and after every slash), and in it.
function run(glob: Glob, text: string): readonly number[] {
  const { tokens } = glob;
  let states: number[] = [];
  // By state, those below 0 behind the others: the step in which it was added last.
  const seen = new Int32Array(2 * tokens.length + 2);
  let step = 1;
  const isNew = (state: number): boolean => {
    const place = state < 0 ? tokens.length - state : state;
    if (seen[place] === step) return false;
    seen[place] = step;
    return true;
  };
  // A state inside `directories` is kept as -(index) - 1, so that it only ends after a slash.
  const add = (into: number[], state: number): void => {
    if (!isNew(state)) return;
    into.push(state);
    const token = tokens[state];
    if (token?.kind === 'many' || token?.kind === 'rest') add(into, state + 1);
    if (token?.kind === 'directories') {
      const inside = -state - 1;
      if (isNew(inside)) into.push(inside);
      add(into, state + 1);
    }
  };
  add(states, 0);
  for (let at = 0; at < text.length && states.length > 0; at += 1) {
    const code = text.codePointAt(at) as number;
    if (code > 0xffff) at += 1;
    const next: number[] = [];
    step += 1;
    for (const state of states) {
      if (state < 0) {
        if (isNew(state)) next.push(state);
        if (code === SLASH) add(next, -state);
        continue;
      }
      const token = tokens[state];
      if (token === undefined) continue;
      if (token.kind === 'many') {
        if (code !== SLASH) add(next, state);
      } else if (token.kind === 'rest') add(next, state);
      else if (token.kind !== 'directories' && matchesOne(token, code)) add(next, state + 1);
    }
    states = next;
  }
  return states;
}

function matchesOne(token: Exclude<Token, { kind: 'many' | 'rest' | 'directories' }>, code: number): boolean {
  if (token.kind === 'literal') return token.code === code;
  if (token.kind === 'one') return code !== SLASH;
  return token.ranges.some(([low, high]) => low <= code && code <= high) !== token.negated;
}

/** Like compileGlob, with COPY_INVALID for a bad pattern. */
export function compileCopyGlob(pattern: string, options: { readonly globstar: boolean }): Glob {
  try {
    return compileGlob(pattern, options);
  } catch (error) {
    if (error instanceof BadPattern)
      throw new BuildError('COPY_INVALID', `bad pattern: ${error.message}`, { cause: error });
    throw error;
  }
}
