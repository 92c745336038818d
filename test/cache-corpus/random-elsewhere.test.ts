import { expect, test } from 'vitest';
import { tries, withSeed } from '../support/effort.ts';
import { checkRandomEdits } from './check-random.ts';

const edits = tries({ full: 300, short: 50 });

test(
  'Property: after each of many random edits a cold machine with the exported cache gives what a rebuild gives',
  {
    timeout: 1_800_000,
  },
  () =>
    withSeed(async (seed) => {
      expect(await checkRandomEdits({ edits, seed, elsewhere: true })).toBeGreaterThan(edits / 10);
    }),
);
