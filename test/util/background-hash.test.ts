import { createHash, randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { backgroundHash } from '../../src/util/background-hash.ts';

/** Hashes `count` chunks of up to `largest` bytes on the thread and here. */
async function both(count: number, largest: number): Promise<readonly [string, string]> {
  using hash = backgroundHash();
  const expected = createHash('sha256');
  const source = randomBytes(largest);
  for (let index = 0; index < count; index += 1) {
    const chunk = source.subarray(0, 1 + ((index * 7919) % largest));
    expected.update(chunk);
    await hash.update(chunk);
    // As from a socket: the thread catches up now and then, and sleeps.
    if (index % 5 === 0) await setImmediate();
  }
  return [await hash.digest(), expected.digest('hex')];
}

test('streams side by side get the digests of their own bytes', async () => {
  const sizes = [1, 1000, 64 * 1024, 200_000] as const;
  const results = await Promise.all(sizes.flatMap((largest) => [both(400, largest), both(37, largest)]));
  for (const [actual, expected] of results) expect(actual).toBe(expected);
});

test('one that is given up costs the others nothing, and an empty one has its digest too', async () => {
  {
    using dropped = backgroundHash();
    await dropped.update(randomBytes(3_000_000));
  }
  using empty = backgroundHash();
  expect(await empty.digest()).toBe(createHash('sha256').digest('hex'));
  const [actual, expected] = await both(100, 100_000);
  expect(actual).toBe(expected);
});
