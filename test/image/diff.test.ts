import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { overlayDiff } from '../../src/image/diff.ts';
import { removeTree } from '../../src/util/remove-tree.ts';
import { tempFolder } from '../support/temp.ts';

async function paths(directory: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { path } of overlayDiff(directory)) found.push(path);
  return found;
}

test('siblings are sorted by bytes, parents come first', async () => {
  await using folder = await tempFolder('diff');
  for (const name of ['b/y', 'b/x', 'a']) mkdirSync(join(folder.path, name), { recursive: true });
  for (const name of ['b.', 'b/x/1', 'B', 'ä']) writeFileSync(join(folder.path, name), '');
  expect(await paths(folder.path)).toEqual(['B', 'a', 'b', 'b/x', 'b/x/1', 'b/y', 'b.', 'ä']);
});

test('S-P-3: a path that no call of the system takes is told as what the step made', async () => {
  await using folder = await tempFolder('diff');
  const name = 'd'.repeat(200);
  const script = `for (let i = 0; i < 30; i++) { fs.mkdirSync('${name}'); process.chdir('${name}'); }`;
  execFileSync(process.execPath, ['-e', script], { cwd: folder.path });
  await expect(paths(folder.path)).rejects.toMatchObject({
    code: 'UNSUPPORTED_HERE',
    message: expect.stringContaining('the step made a path that is too long: /ddd'),
  });
  await removeTree(join(folder.path, name));
});
