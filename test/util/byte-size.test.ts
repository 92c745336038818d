import { expect, test } from 'vitest';
import { formatByteSize, readByteSize } from '../../src/util/byte-size.ts';

test.each([
  ['512m', '512 MiB'],
  ['1.5g', '1.5 GiB'],
  ['64k', '64 KiB'],
  ['100', '100 bytes'],
  ['0', '0 bytes'],
  ['1024', '1 KiB'],
  ['500000000', '476.84 MiB'],
  ['2000t', '1.95 PiB'],
])('%s is shown as %s', (given, shown) => {
  expect(formatByteSize(readByteSize(given) ?? Number.NaN)).toBe(shown);
});
