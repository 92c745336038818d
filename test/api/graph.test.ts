import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { build, graph } from '../../src/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'tsbuild-graph-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the JSON form is an object, written once', async () => {
  writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\n');
  const text = await graph({ context: folder, root: join(folder, 'store'), format: 'json' });
  expect(JSON.parse(text)).toMatchObject({
    target: expect.stringMatching(/^sha256:/),
    vertices: expect.any(Array),
  });
});

test('a build for Windows is refused', async () => {
  writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\n');
  const building = build({ context: folder, root: join(folder, 'store'), platform: 'windows/amd64' });
  await expect(building).rejects.toMatchObject({ code: 'UNSUPPORTED_HERE' });
});
