import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { must, tsbuild } from '../support/cli.ts';
import { findTool, suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';

const needs = ['root', tool('unshare', 'util-linux'), tool('busybox', 'busybox-static')] as const;

suite('the embedded runtime', needs, () => {
  let work: TempFolder;
  let store: string;
  /** A PATH with Node and the few programs of util-linux, but no OCI runtime. */
  let env: Record<string, string>;

  beforeAll(async () => {
    work = await tempFolder('embedded');
    store = join(work.path, 'store');
    await makeBase(store, 'localhost/busybox', busyboxRootfs());
    const path = join(work.path, 'path');
    mkdirSync(path);
    for (const name of ['unshare', 'nsenter', 'newuidmap', 'newgidmap', 'slirp4netns', 'sh']) {
      const found = findTool(name);
      if (found !== undefined) symlinkSync(found, join(path, name));
    }
    env = { PATH: path, XDG_CACHE_HOME: join(work.path, 'cache') };
  });
  afterAll(() => work[Symbol.asyncDispose]());

  async function build(how: readonly string[], changes?: Record<string, string>): Promise<string> {
    const folder = join(work.path, `out-${Math.random()}`);
    const dockerfile = [
      'FROM localhost/busybox',
      'RUN id >/id && cat /proc/self/uid_map >/map && echo $$ >/pid && hostname >/hostname-seen',
      'USER app',
      'RUN id -G >/tmp/groups',
      '',
    ];
    writeFileSync(join(work.path, 'Dockerfile'), dockerfile.join('\n'));
    const output = `type=local,dest=${folder}`;
    await must(tsbuild(['--root', store, '--no-cache', ...how, '-o', output, work.path], { env: changes }));
    return folder;
  }

  test('is used where PATH has no runc and no crun; doctor says so', async () => {
    const folder = await build([], env);
    expect(await must(tsbuild(['doctor', '--root', store], { env }))).toMatch(/embedded/);
    expect(folder).not.toBe('');
  });

  test('runs steps from a store that is reached by a link, and by a link on the way', async () => {
    const [whole, above] = [join(work.path, 'link'), join(work.path, 'up')];
    symlinkSync(store, whole);
    symlinkSync(work.path, above);
    for (const root of [whole, join(above, 'store'), join(above, 'new')])
      expect(await must(tsbuild(['doctor', '--root', root], { env }))).toContain('RUN steps use embedded\n');
    writeFileSync(join(work.path, 'Dockerfile'), 'FROM localhost/busybox\nRUN echo by a link\n');
    const built = await tsbuild(['--root', whole, '--progress=plain', work.path], { env });
    expect(built).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^#\d+ [\d.]+ by a link$/m) as string,
    });
  });

  test('`--runtime embedded` gives what the default runtime gives', async () => {
    const { readFileSync } = await import('node:fs');
    const [embedded, other] = [await build(['--runtime', 'embedded']), await build([])];
    for (const name of ['id', 'pid', 'tmp/groups']) {
      expect(readFileSync(join(embedded, name), 'utf8'), name).toBe(readFileSync(join(other, name), 'utf8'));
    }
  });

  test("a step's exit status passes through", async () => {
    writeFileSync(join(work.path, 'Dockerfile'), 'FROM localhost/busybox\nRUN exit 9\n');
    const result = await tsbuild(['--root', store, '--runtime', 'embedded', work.path]);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/error\[STEP_FAILED\].*\b9\b/);
  });
});
