import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { digestOf } from '../../src/oci/digest.ts';
import { stepKey } from '../../src/solver/cache-key.ts';

const golden = new URL('../../golden/cache-keys.txt', import.meta.url);
const [op, one, two] = ['op', 'one', 'two'].map((text) => digestOf(text)) as [
  `sha256:${string}`,
  `sha256:${string}`,
  `sha256:${string}`,
];

test('keys are those of the version before (golden/cache-keys.txt)', () => {
  const rows = {
    'mkdir, no inputs': stepKey('mkdir', op, []),
    'exec, no inputs': stepKey('exec', op, []),
    'exec, one': stepKey('exec', op, [one]),
    'exec, one two': stepKey('exec', op, [one, two]),
    'exec, two one': stepKey('exec', op, [two, one]),
    'copy, one two': stepKey('copy', op, [one, two]),
  };
  const text = Object.entries(rows)
    .map(([name, key]) => `${key}  ${name}\n`)
    .join('');
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, text);
  expect(text).toBe(readFileSync(golden, 'utf8'));
  expect(new Set(Object.values(rows)).size).toBe(6);
});
