import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Edit } from '../../src/util/edit.ts';
import { applyEdits } from '../../src/util/edit.ts';

const edit = (line: number, from: number, to: number, text: string): Edit => ({
  range: { start: { line, column: from }, end: { line, column: to } },
  text,
});

describe('changes of a text', () => {
  test('are made by their places, whatever their order', () => {
    const { text, made } = applyEdits('abc\r\ndef\n', [
      [edit(2, 1, 2, 'D')],
      [edit(1, 4, 4, '!'), edit(1, 1, 2, '')],
    ]);
    expect(text).toBe('bc!\r\nDef\n');
    expect(made).toEqual(new Set([0, 1]));
  });

  test('a group is made whole or not at all, and gives way to an earlier one', () => {
    const { text, made } = applyEdits('abcdef', [
      [edit(1, 3, 5, 'X')],
      [edit(1, 1, 2, 'Y'), edit(1, 4, 6, 'Z')],
      [],
      [edit(1, 5, 6, 'W'), edit(1, 5, 7, 'V')],
    ]);
    expect(text).toBe('abXef');
    expect([...made]).toEqual([0]);
  });

  test('may span lines', () => {
    const across = { range: { start: { line: 1, column: 2 }, end: { line: 3, column: 1 } }, text: '-' };
    expect(applyEdits('ab\ncd\nef', [[across]]).text).toBe('a-ef');
  });

  test('leave all other characters, also where there are very many', () => {
    const columns = fc.uniqueArray(fc.nat(30), { minLength: 2, maxLength: 12 });
    fc.assert(
      fc.property(columns, (at) => {
        const points = at.toSorted((a, b) => a - b);
        const text = 'x'.repeat(31);
        const groups = points
          .slice(1)
          .map((end, index) => [edit(1, (points[index] ?? 0) + 1, end + 1, `<${index}>`)]);
        const result = applyEdits(text, groups);
        expect(result.made.size).toBe(groups.length);
        const [first = 0, last = 0] = [points[0], points.at(-1)];
        expect(result.text).toBe(
          text.slice(0, first) + groups.map((_, index) => `<${index}>`).join('') + text.slice(last),
        );
      }),
    );
    const lines = 200_000;
    const many = Array.from({ length: lines }, (_, index) => [edit(index + 1, 1, 2, 'b')]);
    expect(applyEdits('a\n'.repeat(lines), many).text).toBe('b\n'.repeat(lines));
  });
});
