import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import type { CommandResult } from '../support/cli.ts';
import { command, tsbuild } from '../support/cli.ts';
import { tries, withSeed } from '../support/effort.ts';
import { binary } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { buildArgs, env, mountsBelow, writeContexts } from './builds.ts';

const ways = [
  ['--runtime', 'runc'],
  ['--runtime', 'embedded'],
  ['--isolation', 'chroot', '--network', 'default'],
];

suite('a build that may have little', ['root', 'linux', tool('busybox', 'busybox-static')], () => {
  let work: TempFolder;
  let fresh: string;
  beforeEach(async () => {
    work = await tempFolder('exhausted');
    fresh = join(work.path, 'fresh');
    await makeBase(fresh, 'localhost/busybox', busyboxRootfs());
  });
  afterEach(() => work[Symbol.asyncDispose]());

  /** Builds in ever new stores under a limit of the shell's; says what came of it. Each store is whole and builds afterwards. */
  async function sweep(option: string, from: number, to: number): Promise<readonly CommandResult[]> {
    const [context = ''] = writeContexts(work.path, 1);
    const store = join(work.path, 'store');
    const results: CommandResult[] = [];
    await withSeed(async (_, next) => {
      for (let round = 0; round < tries({ full: 120, short: 9 }); round += 1) {
        cpSync(fresh, store, { recursive: true });
        const args = buildArgs(store, context, ways[round % ways.length]);
        const limit = `ulimit ${option} ${Math.floor(from + next() * (to - from))} && exec "$@"`;
        const build = ['-c', limit, 'sh', process.execPath, binary, ...args];
        results.push(await command('sh', build, { env, timeout: 60_000 }));
        expect(mountsBelow(work.path)).toEqual([]);
        expect(await tsbuild(args, { env })).toMatchObject({ code: 0 });
        expect((await tsbuild(['store', 'check', '--root', store])).stdout).toMatch(/^sound: /);
        rmSync(store, { recursive: true });
      }
    });
    return results;
  }

  test('open files says so wherever it has no more of them', async () => {
    const results = await sweep('-n', 22, 70);
    for (const { code, stderr } of results)
      if (code !== 0) expect(stderr).toMatch(/^error\[(?!INTERNAL)\w+\][^]*(open files|files open)/m);
    expect(new Set(results.map(({ code }) => code))).toEqual(new Set([0, 1]));
  });
});
