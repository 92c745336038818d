import { expect, test } from 'vitest';
import { checkRandomEdits } from '../../cache-corpus/check-random.ts';
import { busyboxRootfs, makeBase } from '../../support/base-images.ts';
import { suite, tool } from '../../support/require.ts';

suite('random edits of builds with RUN', ['root', tool('busybox', 'busybox-static')], () => {
  test(
    'Property: after each of 200 a build gives what a rebuild without the cache gives',
    { timeout: 600_000 },
    async () => {
      const prepare = (store: string): Promise<void> => makeBase(store, 'localhost/busybox', busyboxRootfs());
      expect(await checkRandomEdits({ edits: 200, seed: 7, prepare })).toBeGreaterThan(100);
    },
  );
});
