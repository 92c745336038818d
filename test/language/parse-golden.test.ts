import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseDockerfile } from '../../src/frontend/parse.ts';
import { expectGolden } from '../support/golden.ts';
import { projectRoot } from '../support/paths.ts';
import { dump } from './dump.ts';

// A folder of golden/parse for each case: Dockerfile, and expected.txt with all that was read and every error with its place.
const root = join(projectRoot, 'golden/parse');
const cases = readdirSync(root).toSorted();

test('there are many cases, and many of them have errors', () => {
  expect(cases.length).toBeGreaterThanOrEqual(110);
  expect(cases.filter((name) => name.startsWith('error-')).length).toBeGreaterThanOrEqual(35);
});

test.each(cases)('%s', (name) => {
  const text = readFileSync(join(root, name, 'Dockerfile'), 'utf8');
  const parsed = parseDockerfile({ name: 'Dockerfile', text });
  expect(parsed.errors.length > 0).toBe(name.startsWith('error-'));
  expectGolden(`parse/${name}/expected.txt`, dump(parsed));
});
