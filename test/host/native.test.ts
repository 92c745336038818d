import { constants } from 'node:os';
import { expect, test } from 'vitest';
import type { Attempt } from '../../src/host/native.ts';
import { confirmed } from '../../src/host/native.ts';

const { EAGAIN, EEXIST, EINTR, ENODATA, ENOENT } = constants.errno;

/** What `confirmed` makes of calls that go like this, and how many it makes. */
function outcome(...errnos: readonly (number | undefined)[]): [number | undefined, number] {
  let calls = 0;
  const attempt = (): Attempt => {
    const errno = errnos[calls % errnos.length];
    calls += 1;
    return errno === undefined ? { result: 7 } : { result: -1, errno };
  };
  return [confirmed(attempt).errno, calls];
}

test('an errno counts that a failed call says twice, or that nothing else can have said', () => {
  expect(outcome(undefined)).toEqual([undefined, 1]);
  expect(outcome(ENODATA)).toEqual([ENODATA, 1]);
  expect(outcome(ENOENT, ENOENT)).toEqual([ENOENT, 2]);
  // errno was the engine's own.
  expect(outcome(EAGAIN, ENODATA)).toEqual([ENODATA, 2]);
  expect(outcome(EAGAIN, EEXIST, EEXIST)).toEqual([EEXIST, 3]);
  // A lock that came free.
  expect(outcome(EAGAIN, undefined)).toEqual([undefined, 2]);
  // It ends in any case.
  expect(outcome(EAGAIN, EINTR)[1]).toBe(10);
});
