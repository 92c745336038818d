import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { masked, SecretMask } from '../../src/util/secret-mask.ts';
import { needlesOf } from '../../src/util/secret-needles.ts';
import { SecretSearch } from '../../src/util/secret-search.ts';

function searchFor(...values: readonly string[]): SecretSearch {
  return new SecretSearch(values.flatMap((value) => needlesOf('it', Buffer.from(value))));
}

/** What is shown after each chunk, and at the end. */
function shown(search: SecretSearch, ...chunks: readonly string[]): string[] {
  const mask = new SecretMask(search);
  return [...chunks.map((chunk) => mask.push(Buffer.from(chunk))), mask.end()].map((part) =>
    Buffer.from(part).toString(),
  );
}

const search = searchFor('hunter22');

describe('M-16 masking', () => {
  it.each([
    ['as it is', 'a hunter22 b', 'a **** b'],
    ['twice', 'hunter22hunter22.hunter22', '****.****'],
    ['as base64', `a ${Buffer.from('hunter22').toString('base64')}`, 'a ****I='],
    ['as hex', `a 68756e74 65723232`, 'a ****'],
    ['as in a URL', '?a=%68unter%322&b', '?a=****&b'],
    ['over two lines', 'a hun\nter22 b\n', 'a ****\n**** b\n'],
  ])('hides it %s', (_, text, expected) => {
    expect(masked(search, text)).toBe(expected);
  });

  it('hides it however it is cut into chunks', () => {
    expect(shown(search, ...'say hunter22, go'.split('')).join('')).toBe('say ****, go');
    expect(shown(search, 'hunter2', '2')).toEqual(['', '****', '']);
    expect(shown(search, '%6', '8unter22')).toEqual(['', '****', '']);
  });

  it('keeps nothing back longer than it must', () => {
    expect(shown(search, 'we hunt', 'ed')).toEqual(['we ', 'hunted', '']);
    expect(shown(search, 'huntsmen hunt')).toEqual(['huntsmen ', 'hunt']);
    // A line that ends as the secret begins.
    expect(shown(search, 'uh\n')).toEqual(['uh\n', '']);
    const blanks = ' '.repeat(70_000);
    expect(shown(search, `hunter${blanks}`, 'x')).toEqual([`hunter${blanks}`, 'x', '']);
  });

  it('hides each line of a secret with several', () => {
    const lines = searchFor('first line of it\n{\nsecond line of it\n');
    expect(masked(lines, 'got second line of it, first line of it {')).toBe('got ****, **** {');
  });

  it('hides a long line to its end', () => {
    const text = Array.from({ length: 700 }, (_, at) => `${at}`).join('-');
    expect(masked(searchFor(text), `<${text}>`)).toBe('<****>');
  });

  it('hides short secrets too, but no words of three letters', () => {
    expect(masked(searchFor('abcd'), 'abcd')).toBe('****');
    expect(masked(searchFor('abc'), 'abc')).toBe('abc');
  });

  it('shows the same text whatever its chunks, and never the secret', () => {
    const pieces = fc.constantFrom('h', 'hun', 'hunter', 'hunter22', 'ter22', '2', ' ', '%68', '%3', 'x');
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (chunks) => {
        const text = shown(search, ...chunks).join('');
        expect(text).toBe(masked(search, chunks.join('')));
        expect(text.replaceAll(/\s/g, '').replaceAll('%68', 'h')).not.toContain('hunter22');
      }),
    );
  });
});
