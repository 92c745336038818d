import { expect, test } from 'vitest';
import { tries, withSeed } from '../support/effort.ts';
import { checkRandomEdits } from './check-random.ts';

const edits = tries({ full: 900, short: 100 });

// In two files, which run side by side.
test(
  'Property: after each of many random edits a build gives what a rebuild without the cache gives (2)',
  { timeout: 1_800_000 },
  () =>
    withSeed(async (seed) => {
      expect(await checkRandomEdits({ edits, seed })).toBeGreaterThan(edits / 10);
    }),
);
