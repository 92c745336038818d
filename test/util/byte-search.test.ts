import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteSearch } from '../../src/util/byte-search.ts';

interface Hit {
  readonly needle: string;
  readonly end: number;
  readonly decoded: boolean;
}

function hits(needles: readonly string[], ...chunks: readonly string[]): Hit[] {
  const search = new ByteSearch(needles.map((needle) => Buffer.from(needle)));
  const cursor = search.start();
  const found: Hit[] = [];
  let before = 0;
  for (const chunk of chunks) {
    search.scan(cursor, Buffer.from(chunk), (numbers, end, decoded) => {
      for (const number of numbers) found.push({ needle: needles[number] ?? '', end: before + end, decoded });
    });
    before += chunk.length;
  }
  return found;
}

const plain = (needle: string, end: number): Hit => ({ needle, end, decoded: false });

describe('ByteSearch', () => {
  it('finds all needles, those within and at the end of others too, longest first', () => {
    expect(hits(['she', 'he', 'hers'], 'ushers')).toEqual([
      plain('she', 4),
      plain('he', 4),
      plain('hers', 6),
    ]);
  });

  it('looks through blanks and line ends', () => {
    expect(hits(['c2VjcmV0'], 'c2Vj\r\ncm\t V0')).toEqual([plain('c2VjcmV0', 12)]);
  });

  it.each(['%41%42c', 'A%42c', '%41Bc', '%41%20B%0Ac'])('reads %s as a URL does', (text) => {
    expect(hits(['ABc'], text)).toEqual([{ needle: 'ABc', end: text.length, decoded: true }]);
  });

  it('takes a percent sign that begins nothing for itself', () => {
    const found = hits(['50%zz', 'a%4x', '%%'], '50%zz a%4x b%%4x').filter(({ decoded }) => !decoded);
    expect(found).toEqual([plain('50%zz', 5), plain('a%4x', 10), plain('%%', 14)]);
  });

  it('finds the same however the text is cut', () => {
    const letters = fc.array(fc.constantFrom('a', 'b', '%', '4', '1', 'A', ' '), { maxLength: 40 });
    const needles = fc.array(
      fc
        .array(fc.constantFrom('a', 'b', '%', '4', 'A'), { minLength: 1, maxLength: 4 })
        .map((parts) => parts.join('')),
      { minLength: 1, maxLength: 5 },
    );
    fc.assert(
      fc.property(needles, letters, (list, text) => {
        expect(hits(list, ...text)).toEqual(hits(list, text.join('')));
      }),
    );
  });

  it('finds what a plain search of the text without blanks finds', () => {
    const letters = fc
      .array(fc.constantFrom('a', 'b', 'c', ' '), { maxLength: 60 })
      .map((parts) => parts.join(''));
    const needles = fc.array(
      fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 5 }).map((parts) => parts.join('')),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(needles, letters, (list, text) => {
        const solid = text.replaceAll(' ', '');
        const found = hits(list, text);
        for (const needle of list) {
          let count = 0;
          for (let at = solid.indexOf(needle); at >= 0; at = solid.indexOf(needle, at + 1)) count += 1;
          const times = list.filter((one) => one === needle).length;
          expect(found.filter((hit) => hit.needle === needle)).toHaveLength(count * times);
        }
      }),
    );
  });

  it('takes no needle that it could not find', () => {
    expect(() => new ByteSearch([Buffer.from('a b')])).toThrow(TypeError);
    expect(() => new ByteSearch([Buffer.alloc(0)])).toThrow(TypeError);
  });

  it('takes needles of all bytes', () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).filter(
      (byte) => byte !== 0x20 && (byte < 9 || byte > 13),
    );
    const found: number[] = [];
    const search = new ByteSearch([all]);
    search.scan(search.start(), Buffer.concat([Buffer.from('x'), all]), (numbers) => found.push(...numbers));
    expect(found).toEqual([0]);
  });
});
