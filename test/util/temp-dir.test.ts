import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeTempDir, removeTree } from '../../src/util/temp-dir.ts';

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

test('a tree with closed directories is removed, and links out of it are not followed', async () => {
  await using temp = await makeTempDir();
  const outside = join(temp.path, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'kept'), 'kept');
  const tree = join(temp.path, 'tree');
  mkdirSync(join(tree, 'closed', 'below'), { recursive: true });
  writeFileSync(join(tree, 'closed', 'below', 'file'), '');
  symlinkSync(outside, join(tree, 'closed', 'link'));
  chmodSync(join(tree, 'closed', 'below'), 0);
  chmodSync(join(tree, 'closed'), 0);
  await removeTree(tree);
  await removeTree(tree);
  expect(existsSync(tree)).toBe(false);
  expect(readFileSync(join(outside, 'kept'), 'utf8')).toBe('kept');
});
