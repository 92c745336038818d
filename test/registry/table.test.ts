import { describe, expect, test } from 'vitest';
import { testsByRow } from '../language/titles.ts';
import { expectGolden } from '../support/golden.ts';
import { decisions, rowIds } from './rows.ts';

const tests = testsByRow('R-[A-Z]+|C-RE');

describe('the rows of the registry client', () => {
  test('the table of rows and their tests is up to date', () => {
    const head =
      '# Rows of the registry client, and the tests that name them\n\nMade by `npm run golden`. The last column says where tsbuild goes another way, and why.\n\n| row | tests | decision |\n|---|---|---|\n';
    const lines = rowIds.map(
      (row) => `| ${row} | ${(tests.get(row) ?? []).join('<br>')} | ${decisions[row] ?? ''} |\n`,
    );
    expectGolden('registry.md', head + lines.join(''));
  });

  test.each(rowIds)('%s has a test, or a decision against it', (row) => {
    expect(tests.has(row) || decisions[row] !== undefined).toBe(true);
  });

  test('tests and decisions name no row that is not there', () => {
    const known = new Set(rowIds);
    expect([...tests.keys(), ...Object.keys(decisions)].filter((row) => !known.has(row))).toEqual([]);
  });
});
