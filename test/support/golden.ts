import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { projectRoot } from './paths.ts';

/** Compares a text with golden/<path>; with UPDATE_GOLDEN=1 writes it instead. */
export function expectGolden(path: string, actual: string): void {
  const file = join(projectRoot, 'golden', path);
  if (process.env['UPDATE_GOLDEN'] === '1') {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, actual);
    return;
  }
  const wanted = existsSync(file) ? readFileSync(file, 'utf8') : `(golden/${path} does not exist)`;
  expect(actual, `golden/${path}; UPDATE_GOLDEN=1 accepts the new text`).toBe(wanted);
}
