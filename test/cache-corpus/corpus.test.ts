import { describe, expect, test } from 'vitest';
import { expectGolden } from '../support/golden.ts';
import { copyCases } from './cases-copy.ts';
import { runCases } from './cases-run.ts';
import { stageCases } from './cases-stages.ts';
import { describeCase } from './workshop.ts';

const cases = [...copyCases, ...stageCases];

describe('golden/cache: after an edit exactly the right steps are run again', () => {
  test.each(cases.map((one) => [one.name, one] as const))('%s', { timeout: 60_000 }, async (name, one) => {
    expectGolden(`cache/${name}.txt`, await describeCase(one));
  });

  test('60 cases, each with a name of its own', () => {
    const names = [...cases, ...runCases].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThanOrEqual(60);
  });
});
