import { expect, test } from 'vitest';
import { checkRandomEdits } from '../../cache-corpus/check-random.ts';
import { busyboxRootfs, makeBase } from '../../support/base-images.ts';
import { tries, withSeed } from '../../support/effort.ts';
import { suite, tool } from '../../support/require.ts';

const edits = tries({ full: 200, short: 50 });

suite('random edits of builds with RUN', ['root', tool('busybox', 'busybox-static')], () => {
  test(
    'Property: after each of many a build gives what a rebuild without the cache gives',
    { timeout: 1_800_000 },
    async () => {
      const prepare = (store: string): Promise<void> => makeBase(store, 'localhost/busybox', busyboxRootfs());
      await withSeed(async (seed) => {
        expect(await checkRandomEdits({ edits, seed, prepare })).toBeGreaterThan(edits / 10);
      });
    },
  );
});
