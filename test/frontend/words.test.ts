import { readFileSync, writeFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { expandHeredoc, expandWord, expandWords } from '../../src/frontend/words.ts';
import { BuildError } from '../../src/util/build-error.ts';

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

const golden = new URL('../../golden/frontend/words.txt', import.meta.url);
const lines = readFileSync(golden, 'utf8').trimEnd().split('\n');
const rows = lines
  .filter((line) => !line.startsWith('#'))
  .map((line) => line.split(' => ') as [string, string]);

describe('expandWord', () => {
  if (process.env['UPDATE_GOLDEN'] !== undefined) {
    const updated = rows.map(([word]) => `${word} => ${outcome(() => expandWord(word, expansion))}`);
    writeFileSync(golden, [...lines.filter((line) => line.startsWith('#')), ...updated, ''].join('\n'));
  }

  test('the table is long', () => {
    expect(rows.length).toBeGreaterThan(120);
  });

  test.each(rows)('%s => %s', (word, expected) => {
    expect(outcome(() => expandWord(word, expansion))).toBe(expected);
  });

  test('a backtick may be the escape', () => {
    const windows = { escape: '`', lookup };
    expect(expandWord('c:\\$a', windows)).toBe('c:\\1');
    expect(expandWord('`$a', windows)).toBe('$a');
    expect(expandWord('"`$a\\"', windows)).toBe('$a\\');
    expect(expandWord('${s#`*}', windows)).toBe('x*');
  });

  test('names without a value are told', () => {
    const undefinedNames: string[] = [];
    expandWord('$u ${v} ${w:-x} $a "$x"', { ...expansion, onUndefined: (name) => undefinedNames.push(name) });
    expect(undefinedNames).toEqual(['u', 'v', 'x']);
  });
});

describe('expandWords', () => {
  test.each([
    ['80 $a', ['80', '1']],
    ['$b', ['two', 'words']],
    ['"$b"', ['two words']],
    ['a"$b"c', ['atwo wordsc']],
    ['  $u  ', []],
    ['"" x', ['', 'x']],
    ['a\\ b', ['a b']],
  ])('%j', (text, expected) => {
    expect(expandWords(text, expansion)).toEqual(expected);
  });
});

describe('expandHeredoc', () => {
  test.each([
    ['it\'s "$a"', 'it\'s "1"'],
    ['\\$a \\\\ \\n', '$a \\ \\n'],
    ['${u:-x}', 'x'],
  ])('%j', (text, expected) => {
    expect(expandHeredoc(text, expansion)).toBe(expected);
  });
});

describe('hostile words', () => {
  test('values cannot grow without end', () => {
    const big = { escape: '\\', lookup: () => 'x'.repeat(600_000) };
    expect(outcome(() => expandWord('$a$a', big))).toContain('longer than');
    expect(outcome(() => expandWord('"$a$a"', big))).toContain('longer than');
    expect(outcome(() => expandWord('${a//x/$a}', big))).toContain('longer than');
  });

  test('nesting has an end', () => {
    expect(outcome(() => expandWord('${a:-'.repeat(50_000), expansion))).toContain('nested');
  });

  test('patterns match in linear time', () => {
    const long = { escape: '\\', lookup: () => 'a'.repeat(200_000) };
    const start = performance.now();
    for (const text of [
      `\${v#${'*a'.repeat(20)}b}`,
      `\${v//${'*a'.repeat(20)}b/x}`,
      `\${v%%b${'a*'.repeat(20)}}`,
    ]) {
      expect(expandWord(text, long)).toHaveLength(200_000);
    }
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test('any text has an outcome', () => {
    const text = fc.string({ unit: fc.constantFrom(...Array.from('ab$${}{}:-+?#%/*\\"\' ')), maxLength: 40 });
    fc.assert(
      fc.property(fc.oneof(text, fc.string()), (word) => {
        outcome(() => expandWord(word, expansion));
        outcome(() => expandWords(word, expansion));
      }),
      { numRuns: 2000 },
    );
  });
});
