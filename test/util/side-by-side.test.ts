import { expect, test } from 'vitest';
import { sideBySide } from '../../src/util/side-by-side.ts';

test('one that fails leaves the others alone; its error is thrown when all have ended', async () => {
  const done: number[] = [];
  const slow = Promise.withResolvers<void>();
  const all = sideBySide([1, 2, 3, 4], async (item) => {
    if (item === 2) throw new Error('two');
    if (item === 4) await slow.promise;
    done.push(item);
  });
  let ended = false;
  const watched = all.finally(() => (ended = true)).catch((error: Error) => error.message);
  await new Promise(setImmediate);
  expect(ended).toBe(false);
  slow.resolve();
  expect(await watched).toBe('two');
  expect(done).toEqual([1, 3, 4]);
});

test('when one after the other fails the rest is not begun, and what runs is ended', async () => {
  let begun = 0;
  const all = sideBySide(
    Array.from({ length: 20 }, (_, index) => index),
    async (item, signal) => {
      begun += 1;
      if (item === 0) {
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('ended'))));
      }
      throw new Error(`item ${item}`);
    },
    { concurrency: 2 },
  );
  await expect(all).rejects.toThrow('item 1');
  expect(begun).toBe(1 + 5);
});

test('an abort is what it ends with', async () => {
  const stop = new AbortController();
  const all = sideBySide(
    [1, 2],
    async () => {
      stop.abort(new Error('enough'));
      throw new Error('other');
    },
    { signal: stop.signal, concurrency: 1 },
  );
  await expect(all).rejects.toThrow('enough');
});
