import { execFileSync } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readSmallFile } from '../../src/util/small-file.ts';
import { tempFolder } from '../support/temp.ts';

test('only ordinary files of a bounded size are read, by links too; a FIFO is not waited for', async () => {
  await using folder = await tempFolder('small-file');
  const path = (name: string): string => join(folder.path, name);
  writeFileSync(path('file'), 'text');
  symlinkSync('file', path('link'));
  symlinkSync('/dev/zero', path('zero'));
  execFileSync('mkfifo', [path('fifo')]);
  expect(String(await readSmallFile(path('file'), 4))).toBe('text');
  expect(String(await readSmallFile(path('link'), 4))).toBe('text');
  for (const [name, code] of [
    ['file', 'EFBIG'],
    ['fifo', 'EFTYPE'],
    ['zero', 'EFTYPE'],
    ['.', 'EISDIR'],
    ['none', 'ENOENT'],
  ] as const)
    await expect(readSmallFile(path(name), 3)).rejects.toMatchObject({ code });
});
