import { expect, test } from 'vitest';
import { isRetryableStatus, retry, retryAfter } from '../../src/net/retry.ts';

const quick = { delays: [1, 1], longestPause: 50 };

test('R-RETRY-1: tries again until there is a value', async () => {
  const turns: number[] = [];
  const value = await retry(async (turn) => {
    turns.push(turn);
    return turn < 2 ? { failure: new Error('no') } : { value: 'yes' };
  }, quick);
  expect(value).toBe('yes');
  expect(turns).toEqual([0, 1, 2]);
});

test('gives up with the last failure', async () => {
  const work = retry(async (turn) => ({ failure: new Error(`no ${turn}`) }), quick);
  await expect(work).rejects.toThrow('no 2');
});

test('R-RETRY-1: what is thrown is final', async () => {
  let turns = 0;
  const work = retry(async () => {
    turns++;
    throw new Error('stop');
  }, quick);
  await expect(work).rejects.toThrow('stop');
  expect(turns).toBe(1);
});

test('R-RETRY-1: a pause that the server asks for is kept, a longer one than allowed ends it', async () => {
  const before = performance.now();
  await retry(async (turn) => (turn === 0 ? { failure: 0, pause: 40 } : { value: 1 }), quick);
  expect(performance.now() - before).toBeGreaterThan(35);
  let turns = 0;
  const work = retry(async () => ({ failure: new Error(`turn ${++turns}`), pause: 51 }), quick);
  await expect(work).rejects.toThrow('turn 1');
});

test('an abort ends a pause with its reason', async () => {
  const stop = new AbortController();
  const work = retry(
    async () => ({ failure: new Error('no') }),
    { delays: [60_000], longestPause: 1 },
    stop.signal,
  );
  stop.abort(new Error('enough'));
  await expect(work).rejects.toThrow('enough');
});

test('R-RETRY-1: Retry-After in its three forms', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  expect(retryAfter('7', now)).toBe(7000);
  expect(retryAfter('Thu, 01 Jan 2026 00:00:30 GMT', now)).toBe(30_000);
  expect(retryAfter(String(now / 1000 + 5), now)).toBe(5000);
  expect(retryAfter('soon', now)).toBeUndefined();
  expect(retryAfter(undefined, now)).toBeUndefined();
});

test('R-RETRY-1: which statuses pass, and which are final', () => {
  const statuses = [200, 400, 401, 403, 404, 405, 408, 409, 413, 416, 429, 499, 500, 501, 502, 503, 504, 522];
  expect(statuses.filter(isRetryableStatus)).toEqual([408, 429, 499, 500, 502, 503, 504, 522]);
});
