import { expect, test } from 'vitest';
import { runCases } from '../../cache-corpus/cases-run.ts';
import { describeCase } from '../../cache-corpus/workshop.ts';
import { busyboxRootfs, makeBase } from '../../support/base-images.ts';
import { expectGolden } from '../../support/golden.ts';
import { suite, tool } from '../../support/require.ts';

suite(
  'golden/cache: after an edit exactly the right steps with RUN are run again',
  ['root', tool('busybox', 'busybox-static')],
  () => {
    test.each(runCases.map((one) => [one.name, one] as const))('%s', async (name, one) => {
      const text = await describeCase(one, (store) => makeBase(store, 'localhost/busybox', busyboxRootfs()));
      expect(text).not.toMatch(/^ {2}[A-Z_]+$/m);
      expectGolden(`cache/${name}.txt`, text);
    });
  },
);
