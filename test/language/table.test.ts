import { describe, expect, test } from 'vitest';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectGolden } from '../support/golden.ts';
import { projectRoot } from '../support/paths.ts';
import { decisions } from './decisions.ts';
import { applyMutation, loadMutations } from './mutate.ts';
import { rowIds } from './rows.ts';
import { testsByRow } from './titles.ts';

const mutations = await loadMutations();
const tests = testsByRow();

function line(row: string): string {
  const cells = [row, (tests.get(row) ?? []).join('<br>'), decisions[row] ?? ''];
  return `| ${cells.join(' | ')} |\n`;
}

describe('the rows of the language', () => {
  test('the table of rows and their tests is up to date', () => {
    const head =
      '# Rows of the language, and the tests that name them\n\nMade by `npm run golden`. The last column says where tsbuild goes another way, and why.\n\n';
    expectGolden(
      'language.md',
      `${head}| row | tests | decision |\n|---|---|---|\n${rowIds.map(line).join('')}`,
    );
  });

  test.each(rowIds)('%s has a test, or a decision against it', (row) => {
    expect(tests.has(row) || decisions[row] !== undefined).toBe(true);
  });

  test('tests and decisions name no row that is not there', () => {
    const known = new Set(rowIds);
    expect([...tests.keys(), ...Object.keys(decisions)].filter((row) => !known.has(row))).toEqual([]);
  });

  test.each(rowIds.filter((row) => tests.has(row)))('%s has a mutation', (row) => {
    expect(mutations.some((mutation) => mutation.row === row)).toBe(true);
  });

  test.each(mutations)('the mutation of $row fits $file', (mutation) => {
    const text = readFileSync(join(projectRoot, mutation.file), 'utf8');
    expect(applyMutation(text, mutation), `\`${mutation.from}\` must stand there once`).toBeDefined();
  });
});
