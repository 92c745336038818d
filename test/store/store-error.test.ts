import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { storeFileError } from '../../src/store/store-error.ts';
import { BuildError } from '../../src/util/build-error.ts';

function errorOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}

test('a file of the store that cannot be used is no bug: it is named, with what helps', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tsbuild-store-'));
  try {
    const root = join(folder, 'store');
    mkdirSync(root);
    writeFileSync(join(root, 'blobs'), '');
    const damaged = errorOf(() => readdirSync(join(root, 'blobs')));
    expect(storeFileError(damaged, root)).toMatchObject({
      code: 'STORE_FAILED',
      message: `cannot use ${root}/blobs of the store: a part of its path is no directory`,
      hint: expect.stringContaining('store check'),
      cause: damaged,
    });
    const path = join(root, 'snapshots/1');
    const readOnly = Object.assign(new Error('EROFS'), { code: 'EROFS', syscall: 'mkdir', path });
    expect(storeFileError(readOnly, root)).toMatchObject({ hint: expect.stringContaining('writable') });
    const elsewhere = errorOf(() => readdirSync(join(folder, 'store2')));
    for (const other of [elsewhere, new BuildError('USAGE', 'x'), new TypeError('x'), undefined])
      expect(storeFileError(other, root)).toBe(other);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
