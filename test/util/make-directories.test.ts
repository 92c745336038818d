import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { makeDirectories } from '../../src/util/make-directories.ts';

const folder = mkdtempSync(join(tmpdir(), 'tsbuild-mkdir-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('makes what is missing, and is content with what is there', () => {
  const path = join(folder, 'a/b/c');
  makeDirectories(path, 0o700);
  makeDirectories(path);
  expect(statSync(path).mode & 0o777).toBe(0o700);
});

test('ends with an error where nothing can be made, and where a file is in the way', () => {
  writeFileSync(join(folder, 'file'), '');
  expect(() => makeDirectories(join(folder, 'file'))).toThrow('EEXIST');
  expect(() => makeDirectories(join(folder, 'file/below'))).toThrow('ENOTDIR');
});

test.runIf(process.platform === 'linux')('ends below /proc, where Node itself would try forever', () => {
  expect(() => makeDirectories('/proc/no-such-thing/store')).toThrow('ENOENT');
});
