import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseIgnore } from '../../src/source/ignore.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { compileGlob, matchGlob, mayMatchBelow } from '../../src/util/glob.ts';

const rows = readFileSync(new URL('../../golden/dockerignore.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((row, index) => index > 0 && row !== '')
  .map((row) => row.split(' | ') as [string, string, string]);

function decide(lines: string, path: string): string {
  try {
    const found = parseIgnore(lines.replaceAll(' ; ', '\n'), '.dockerignore').excluded(path);
    return found === undefined ? '-' : String(found.line);
  } catch (error) {
    if (error instanceof BuildError && error.code === 'IGNORE_FILE_INVALID') {
      return `bad ${error.source?.range.start.line}`;
    }
    throw error;
  }
}

describe('golden rows', () => {
  test.each(rows)('%s | %s', (lines, path, expected) => {
    expect(decide(lines, path)).toBe(expected);
  });
  test('there are enough of them', () => expect(rows.length).toBeGreaterThanOrEqual(100));
});

test('a byte order mark and Windows line ends say nothing', () => {
  const ignore = parseIgnore('\uFEFFa\r\n\r\n# c\r\n!a/b\r\n', 'x');
  expect(ignore.patterns.map(({ text, line }) => [text, line])).toEqual([
    ['a', 1],
    ['!a/b', 4],
  ]);
});

test('an excluded directory is pruned only when nothing below it can come back', () => {
  const prunes = (lines: string, directory: string): boolean => parseIgnore(lines, 'x').canPrune(directory);
  expect(prunes('node_modules', 'node_modules')).toBe(true);
  expect(prunes('node_modules', 'src')).toBe(false);
  expect(prunes('*\n!src/*.c', 'src')).toBe(false);
  expect(prunes('*\n!src/*.c', 'doc')).toBe(true);
  expect(prunes('*\n!**/x', 'doc')).toBe(false);
  expect(prunes('!a/b\na', 'a')).toBe(true);
  expect(prunes('a\n!ab', 'a')).toBe(true);
});

// Small alphabets, so that patterns match often.
const text = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 8 });
const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '?', '**/'), maxLength: 8 });

/** The same rules as a regular expression. */
function reference(source: string): RegExp {
  let made = '';
  for (const part of source.match(/\*\*+\/?|[^]/gu) ?? []) {
    made += part.startsWith('**') ? '~' : part === '*' ? '[^/]*' : part === '?' ? '[^/]' : part;
  }
  return new RegExp(`^${made.replace(/~$/, '.*').replaceAll('~', '(.*/)?')}$`, 'su');
}

test('globs agree with a regular expression', () => {
  fc.assert(
    fc.property(pattern, text, (source, candidate) => {
      expect(matchGlob(compileGlob(source, { globstar: true }), candidate)).toBe(
        reference(source).test(candidate),
      );
    }),
    { numRuns: 3000 },
  );
});

test('mayMatchBelow never denies a match that exists', () => {
  fc.assert(
    fc.property(pattern, text, text, (source, start, rest) => {
      const glob = compileGlob(source, { globstar: true });
      if (rest !== '' && matchGlob(glob, start + rest)) expect(mayMatchBelow(glob, start)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test('a pattern made to explode is matched in time', () => {
  const glob = compileGlob(`${'*a'.repeat(40)}b`, { globstar: true });
  const started = performance.now();
  expect(matchGlob(glob, 'a'.repeat(2000))).toBe(false);
  expect(performance.now() - started).toBeLessThan(1000);
});
