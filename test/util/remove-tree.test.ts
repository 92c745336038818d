import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { removeTree } from '../../src/util/remove-tree.ts';
import { tempFolder } from '../support/temp.ts';

test('removes what is deeper than a name can say, follows no link, and is content where there is nothing', async () => {
  await using folder = await tempFolder('remove');
  const outside = join(folder.path, 'outside');
  writeFileSync(outside, 'stays');
  const tree = join(folder.path, 'tree');
  mkdirSync(join(tree, 'wide/er'), { recursive: true });
  const name = 'd'.repeat(200);
  // Relative names reach further than absolute ones.
  const script = `const fs = require('node:fs');
    for (let depth = 0; depth < 40; depth += 1) {
      fs.mkdirSync('${name}');
      process.chdir('${name}');
      fs.writeFileSync('file', 'x');
      fs.symlinkSync(process.argv[1], 'link');
    }`;
  execFileSync(process.execPath, ['-e', script, outside], { cwd: tree });
  symlinkSync(outside, join(tree, 'link'));
  await removeTree(tree);
  expect(existsSync(tree)).toBe(false);
  await removeTree(tree);
  expect(readFileSync(outside, 'utf8')).toBe('stays');
});

test('a tree with closed directories is removed, and links out of it are not followed', async () => {
  await using temp = await tempFolder('closed');
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
