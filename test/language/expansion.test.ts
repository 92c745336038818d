import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { expandHeredoc, expandWord, expandWords } from '../../src/frontend/words.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { expectGolden } from '../support/golden.ts';
import { projectRoot } from '../support/paths.ts';
import { imageOf } from './lowered.ts';

const values: Readonly<Record<string, string>> = {
  a: '1',
  b: 'two words',
  e: '',
  p: '/usr/local/lib.tar.gz',
  s: '*x*',
  q: `it's "q"`,
};
const lookup = (name: string): string | undefined => (Object.hasOwn(values, name) ? values[name] : undefined);
const expansion = { escape: '\\', lookup };

function outcome(make: () => unknown): string {
  try {
    return JSON.stringify(make());
  } catch (error) {
    if (!(error instanceof BuildError) || error.code !== 'DOCKERFILE_EXPANSION') throw error;
    return `! ${error.message}`;
  }
}

// golden/words.txt: a line for each word, below the row that it shows.
const lines = readFileSync(join(projectRoot, 'golden/words.txt'), 'utf8').trimEnd().split('\n');
const rows = new Map<string, string[]>();
for (const line of lines) {
  const row = /^## (L-VAR-\d+)/.exec(line)?.[1];
  if (row !== undefined) rows.set(row, []);
  else if (!line.startsWith('#'))
    rows.get([...rows.keys()].at(-1) ?? '')?.push(line.split(' => ', 1)[0] ?? '');
}
const of = (row: string): readonly string[] => rows.get(row) ?? [];

function checkRow(row: string, least: number): void {
  const words = of(row);
  expect(words.length).toBeGreaterThanOrEqual(least);
  for (const word of words)
    expect(lines).toContain(`${word} => ${outcome(() => expandWord(word, expansion))}`);
}

test('the table has an expectation for every word, and many', () => {
  const actual = lines.map((line) =>
    line.startsWith('#')
      ? line
      : `${line.split(' => ', 1)[0]} => ${outcome(() => expandWord(line.split(' => ', 1)[0] ?? '', expansion))}`,
  );
  expectGolden('words.txt', `${actual.join('\n')}\n`);
  expect(lines.filter((line) => !line.startsWith('#')).length).toBeGreaterThan(390);
});

describe('words and their expansion', () => {
  test('L-VAR-1: names', () => checkRow('L-VAR-1', 60));
  test('L-VAR-2: a default', () => checkRow('L-VAR-2', 40));
  test('L-VAR-3: an alternative', () => checkRow('L-VAR-3', 18));
  test('L-VAR-4: a demand', () => checkRow('L-VAR-4', 18));
  test('L-VAR-5: without a prefix', () => checkRow('L-VAR-5', 30));
  test('L-VAR-6 Z-4: without a suffix, which the documents call a preview', () => checkRow('L-VAR-6', 20));
  test('L-VAR-7: a replacement', () => checkRow('L-VAR-7', 30));
  test('L-VAR-8: patterns', () => checkRow('L-VAR-8', 30));
  test('L-VAR-9: nesting', () => checkRow('L-VAR-9', 10));
  test('L-VAR-10: quotes', () => checkRow('L-VAR-10', 40));
  test('L-VAR-12: errors', () => checkRow('L-VAR-12', 30));

  test('L-VAR-1: names without a value are told, also where they have a default', () => {
    const names: string[] = [];
    const onUndefined = (name: string): void => void names.push(name);
    expandWord('$u ${v} ${w:-x} $a "$x" ${y+z} ${o##p}', { ...expansion, onUndefined });
    expect(names).toEqual(['u', 'v', 'w', 'x', 'y', 'o']);
  });

  test('L-VAR-10: a backtick may be the escape', () => {
    const windows = { escape: '`', lookup };
    expect(expandWord('c:\\$a', windows)).toBe('c:\\1');
    expect(expandWord('`$a', windows)).toBe('$a');
    expect(expandWord('"`$a\\"', windows)).toBe('$a\\');
    expect(expandWord('"`""', windows)).toBe('"');
    expect(expandWord("'`$a'", windows)).toBe('`$a');
    expect(expandWord('${u:-`}}', windows)).toBe('}');
    expect(expandWord('${s#`*}', windows)).toBe('x*');
    expect(expandWord('a` b', windows)).toBe('a b');
  });

  test.each([
    ['80 $a', ['80', '1']],
    ['$b', ['two', 'words']],
    ['"$b"', ['two words']],
    ['a"$b"c', ['atwo wordsc']],
    ['x$b', ['xtwo', 'words']],
    ['${u:-80 81}', ['80', '81']],
    ['  $u  ', []],
    ['"" x', ['', 'x']],
    ['a\\ b', ['a b']],
    ["'a b' c", ['a b', 'c']],
  ])('L-VAR-10: %j becomes words', (text, expected) => {
    expect(expandWords(text, expansion)).toEqual(expected);
  });

  test.each([
    ['it\'s "$a"', 'it\'s "1"'],
    // The escape goes before whatever stands there, unlike in a shell's heredoc: so BuildKit has it.
    ['\\$a \\\\ \\n \\\n', '$a \\ n \n'],
    ['${u:-x}', 'x'],
    ["${u:-'x'}", "'x'"],
  ])('L-VAR-10: quotes mean nothing in a heredoc: %j', (text, expected) => {
    expect(expandHeredoc(text, expansion)).toBe(expected);
  });

  test('L-VAR-11: all words of an instruction see the values before it', async () => {
    const { config } = await imageOf(`FROM scratch
ENV a=1
ENV a=2 b=$a c=\${b:-none}
LABEL a=$a b=$b
ARG d=$a e=\${d:-none}
LABEL d=$d e=$e`);
    expect(config).toMatchObject({
      Env: expect.arrayContaining(['a=2', 'b=1', 'c=none']) as unknown,
      Labels: { a: '2', b: '1', d: '2', e: 'none' },
    });
  });

  test('L-VAR-4 L-VAR-12: an error has its place in the Dockerfile', async () => {
    const text = 'FROM scratch\nENV a=1\nLABEL x=ok \\\n  y=${nothing:?gone}\n';
    await expect(imageOf(text)).rejects.toMatchObject({
      code: 'DOCKERFILE_EXPANSION',
      message: 'nothing: gone',
      source: { range: { start: { line: 4, column: 5 } } },
    });
    await expect(imageOf('FROM scratch\nLABEL y="${nothing:?say it}"')).rejects.toMatchObject({
      message: 'nothing: say it',
      source: { range: { start: { line: 2, column: 9 } } },
    });
  });
});

describe('any word', () => {
  const noQuote = fc.string({ unit: 'binary', maxLength: 40 });

  test('L-VAR-10: what is fully quoted is what it was', () => {
    fc.assert(
      fc.property(noQuote, (text) => {
        const plain = text.replaceAll("'", '');
        expect(expandWord(`'${plain}'`, expansion)).toBe(plain);
        const escaped = text.replace(/["\\$]/g, '\\$&');
        expect(expandWord(`"${escaped}"`, expansion)).toBe(text);
        const bare = text.replace(/["'\\$]/g, '\\$&');
        expect(expandWord(bare, expansion)).toBe(text);
        expect(expandWords(`"${escaped}"`, expansion)).toEqual([text]);
      }),
      { numRuns: 500 },
    );
  });

  test('L-VAR-12: has a value or an error with a code', () => {
    const text = fc.string({ unit: fc.constantFrom(...Array.from('ab$${}{}:-+?#%/*\\"\' ')), maxLength: 40 });
    fc.assert(
      fc.property(fc.oneof(text, fc.string()), (word) => {
        outcome(() => expandWord(word, expansion));
        outcome(() => expandWords(word, expansion));
        outcome(() => expandHeredoc(word, expansion));
      }),
      { numRuns: 2000 },
    );
  });

  // Patterns by the book: every split is tried.
  const matches = (pattern: readonly string[], text: string): boolean => {
    const [first, ...rest] = pattern;
    if (first === undefined) return text === '';
    if (first === '*')
      return Array.from({ length: text.length + 1 }, (_, length) => text.slice(length)).some((tail) =>
        matches(rest, tail),
      );
    return text !== '' && (first === '?' || first === text[0]) && matches(rest, text.slice(1));
  };
  const small = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 });
  const pattern = fc.array(fc.constantFrom('a', 'b', '.', '*', '?'), { maxLength: 5 });
  const strip = (word: string, value: string): string =>
    expandWord(word, { escape: '\\', lookup: () => value });

  test('L-VAR-5 L-VAR-6 L-VAR-8: strips what a slow matcher finds', () => {
    fc.assert(
      fc.property(small, pattern, (value, parts) => {
        const lengths = Array.from({ length: value.length + 1 }, (_, length) => length);
        const prefixes = lengths.filter((length) => matches(parts, value.slice(0, length)));
        const suffixes = lengths.filter((length) => matches(parts, value.slice(value.length - length)));
        const text = parts.join('');
        expect(strip(`\${v#${text}}`, value)).toBe(value.slice(prefixes[0] ?? 0));
        // A pattern may not begin with the operator's own character: `##` is another one.
        expect(strip(`\${v##${text}}`, value)).toBe(value.slice(prefixes.at(-1) ?? 0));
        expect(strip(`\${v%${text}}`, value)).toBe(value.slice(0, value.length - (suffixes[0] ?? 0)));
        expect(strip(`\${v%%${text}}`, value)).toBe(value.slice(0, value.length - (suffixes.at(-1) ?? 0)));
      }),
      { numRuns: 2000 },
    );
  });

  test('L-VAR-7 L-VAR-8: replaces what a slow matcher finds', () => {
    fc.assert(
      fc.property(
        small,
        pattern.filter((parts) => parts.length > 0),
        (value, parts) => {
          const longest = (from: number): number | undefined => {
            for (let end = value.length; end >= from; end--)
              if (matches(parts, value.slice(from, end))) return end;
            return undefined;
          };
          const replaced = (all: boolean): string => {
            if (value === '') return longest(0) === undefined ? '' : '<>';
            let out = '';
            let done = false;
            for (let at = 0; at < value.length;) {
              const end = done ? undefined : longest(at);
              if (end !== undefined && end > at) {
                out += '<>';
                at = end;
                done = !all;
              } else out += value[at++] ?? '';
            }
            return out;
          };
          expect(strip(`\${v/${parts.join('')}/<>}`, value)).toBe(replaced(false));
          expect(strip(`\${v//${parts.join('')}/<>}`, value)).toBe(replaced(true));
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('hostile words', () => {
  test('L-VAR-9: values cannot grow without end', () => {
    const big = { escape: '\\', lookup: () => 'x'.repeat(600_000) };
    for (const word of ['$a$a', '"$a$a"', '${a//x/$a}', '${a:+$a$a}'])
      expect(outcome(() => expandWord(word, big))).toContain('longer than');
  });

  test('L-VAR-9: nesting has an end', () => {
    expect(outcome(() => expandWord('${a:-'.repeat(50_000), expansion))).toContain('nested');
  });

  test('L-VAR-8: patterns are matched without going back and forth', () => {
    const value = 'a'.repeat(200_000);
    for (const text of [`#${'*a'.repeat(20)}b`, `//${'*a'.repeat(20)}b/x`, `%%b${'a*'.repeat(20)}`])
      expect(strip(text, value)).toHaveLength(200_000);
    function strip(text: string, long: string): string {
      return expandWord(`\${v${text}}`, { escape: '\\', lookup: () => long });
    }
  });
});
