import { BuildError } from '../util/build-error.ts';

/** A shell pattern of `${v#p}` and its kin: literal stretches between stars; undefined is `?`. */
export type ShellPattern = readonly (readonly (string | undefined)[])[];

/**
 * Reads `*`, `?` and the escapes `\*`, `\?`, `\\`, `\/`, `\}` (L-VAR-8); brackets are literal. Throws DOCKERFILE_EXPANSION for any other
 * escape. Patterns are matched without backtracking, in time proportional to the lengths of both texts: a Dockerfile is hostile.
 */
export function parsePattern(text: string, escape: string): ShellPattern {
  const segments: (string | undefined)[][] = [[]];
  const chars = Array.from(text);
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i] ?? '';
    if (char === escape) {
      const next = chars[++i];
      if (next === undefined || !['*', '?', '/', '}', '\\', escape].includes(next)) {
        throw new BuildError(
          'DOCKERFILE_EXPANSION',
          `invalid escape \`${char}${next ?? ''}\` in the pattern of a substitution`,
        );
      }
      segments.at(-1)?.push(next);
    } else if (char === '*') segments.push([]);
    else segments.at(-1)?.push(char === '?' ? undefined : char);
  }
  return segments;
}

/** Without the shortest or longest prefix that matches. */
export function stripPrefix(value: string, pattern: ShellPattern, longest: boolean): string {
  const chars = Array.from(value);
  const end = matchAt(chars, 0, { pattern, longest });
  return end === undefined ? value : chars.slice(end).join('');
}

/** Without the shortest or longest suffix that matches. */
export function stripSuffix(value: string, pattern: ShellPattern, longest: boolean): string {
  const chars = Array.from(value).toReversed();
  const reversed = pattern.toReversed().map((segment) => segment.toReversed());
  const end = matchAt(chars, 0, { pattern: reversed, longest });
  return end === undefined ? value : chars.slice(end).toReversed().join('');
}

/** With the first match, or every match, replaced; matches are as long as possible. An empty pattern matches nothing. Throws
 * DOCKERFILE_EXPANSION when the replacements take more than `limit` characters. */
export function replacePattern(
  value: string,
  pattern: ShellPattern,
  how: { readonly replacement: string; readonly all: boolean; readonly limit: number },
): string {
  if (pattern.length === 1 && pattern[0]?.length === 0) return value;
  const chars = Array.from(value);
  const out: string[] = [];
  let at = 0;
  let count = 0;
  while (at <= chars.length) {
    const found = startsWith(chars, at, pattern[0] ?? []);
    const end = found ? matchAt(chars, at, { pattern, longest: true }) : undefined;
    // The part after the first segment was looked for to the end of the text: what is not there now is not there later.
    if (found && end === undefined) break;
    if (end !== undefined && (end > at || chars.length === 0)) {
      if (++count * how.replacement.length > how.limit) {
        throw new BuildError('DOCKERFILE_EXPANSION', `a value gets longer than ${how.limit} characters`);
      }
      out.push(how.replacement);
      at = end;
      if (!how.all || at >= chars.length) break;
    } else {
      const char = chars[at++];
      if (char === undefined) break;
      out.push(char);
    }
  }
  return out.join('') + chars.slice(at).join('');
}

/** The end of the shortest or longest match that begins at `start`. */
function matchAt(
  chars: readonly string[],
  start: number,
  { pattern, longest }: { pattern: ShellPattern; longest: boolean },
): number | undefined {
  const [first = [], ...others] = pattern;
  if (!startsWith(chars, start, first)) return undefined;
  let at = start + first.length;
  for (const [index, segment] of others.entries()) {
    const last = longest && index === others.length - 1;
    const found = last ? lastIndexOf(chars, at, segment) : indexOf(chars, at, segment);
    if (found === undefined) return undefined;
    at = found + segment.length;
  }
  return at;
}

function startsWith(chars: readonly string[], at: number, segment: readonly (string | undefined)[]): boolean {
  if (at + segment.length > chars.length) return false;
  return segment.every((want, index) => want === undefined || want === chars[at + index]);
}

function indexOf(
  chars: readonly string[],
  from: number,
  segment: readonly (string | undefined)[],
): number | undefined {
  for (let at = from; at + segment.length <= chars.length; at++)
    if (startsWith(chars, at, segment)) return at;
  return undefined;
}

function lastIndexOf(
  chars: readonly string[],
  from: number,
  segment: readonly (string | undefined)[],
): number | undefined {
  for (let at = chars.length - segment.length; at >= from; at--)
    if (startsWith(chars, at, segment)) return at;
  return undefined;
}
