import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeTempDir } from '../../src/util/temp-dir.ts';

test('a temporary directory is for its owner and goes with its scope', async () => {
  let path: string;
  {
    await using temp = await makeTempDir();
    ({ path } = temp);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    writeFileSync(join(path, 'file'), '');
  }
  expect(existsSync(path)).toBe(false);
});
