import { expect, test } from 'vitest';
import { sourceDateEpoch, systemClock } from '../../src/util/clock.ts';

test('SOURCE_DATE_EPOCH is whole seconds, or absent', () => {
  expect(sourceDateEpoch({})).toBeUndefined();
  expect(sourceDateEpoch({ SOURCE_DATE_EPOCH: '' })).toBeUndefined();
  expect(sourceDateEpoch({ SOURCE_DATE_EPOCH: '0' })).toBe(0);
  expect(sourceDateEpoch({ SOURCE_DATE_EPOCH: '1700000000' })).toBe(1_700_000_000);
});

test.each(['-1', '1.5', '0x10', '1e3', ' 1', 'now', '253402300800', '9'.repeat(400)])(
  '%s is no time',
  (text) => {
    expect(() => sourceDateEpoch({ SOURCE_DATE_EPOCH: text })).toThrow(
      expect.objectContaining({ code: 'USAGE' }) as Error,
    );
  },
);

test('the system clock tells milliseconds', () => {
  expect(Math.abs(systemClock() - Date.now())).toBeLessThan(1000);
});
