import { expect, test } from 'vitest';
import { checkRandomEdits } from './check-random.ts';

// In two files, which run side by side.
test(
  'Property: after each of 900 random edits a build gives what a rebuild without the cache gives (1)',
  { timeout: 900_000 },
  async () => {
    expect(await checkRandomEdits({ edits: 900, seed: 5 })).toBeGreaterThan(450);
  },
);
