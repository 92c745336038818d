import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import type { CommandResult } from '../support/cli.ts';
import { command, tsbuild } from '../support/cli.ts';
import { tries, withSeed } from '../support/effort.ts';
import { binary } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { buildArgs, env, mountsBelow, startBuild, writeContexts } from './builds.ts';

const ways = [
  ['--runtime', 'runc'],
  ['--runtime', 'embedded'],
  ['--isolation', 'chroot', '--network', 'default'],
];

/** The lock of the cache mount that the builds use. */
const cacheLock = `cache-mounts/${createHash('sha256').update('stamps').digest('hex')}/lock`;

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
        // Both ends are met in each run.
        const most = [from, 1024][round] ?? Math.floor(from + next() * (to - from));
        const limit = `ulimit ${option} ${most} && exec "$@"`;
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

  test('open files says so wherever it has no more of them', { timeout: 1_800_000 }, async () => {
    const results = await sweep('-n', 22, 70);
    for (const { code, stderr } of results)
      if (code !== 0) expect(stderr).toMatch(/^error\[(?!INTERNAL)\w+\][^]*(open files|files open)/m);
    expect(new Set(results.map(({ code }) => code))).toEqual(new Set([0, 1]));
  });

  test('a store with something odd in the place of a part of it names that part, and waits for nothing', async () => {
    const store = join(work.path, 'store');
    const [context = ''] = writeContexts(work.path, 1);
    const parts = [...readdirSync(fresh), 'cache-mounts', cacheLock, 'builds', 'leases', 'snapshots'];
    const odd: readonly ((path: string) => void)[] = [
      (path) => writeFileSync(path, 'odd {'),
      (path) => mkdirSync(path),
      (path) => symlinkSync('/nonexistent/place', path),
      (path) => symlinkSync(path, path),
    ];
    const codes = new Set<number>();
    await withSeed(async (_, next) => {
      for (let round = 0; round < tries({ full: 120, short: 12 }); round += 1) {
        cpSync(fresh, store, { recursive: true });
        const part = round === 0 ? cacheLock : (parts[Math.floor(next() * parts.length)] ?? '');
        const path = join(store, part);
        rmSync(path, { recursive: true, force: true });
        mkdirSync(dirname(path), { recursive: true });
        odd[round === 0 ? 2 : Math.floor(next() * odd.length)]?.(path);
        const build = buildArgs(store, context, ways[1 + (round % 2)]);
        for (const args of [build, ['store', 'check'], ['du'], ['prune', '--force']]) {
          const result = await tsbuild([...args, '--root', store], { env, timeout: 60_000 });
          expect([0, 1], `${part}: ${result.stderr}`).toContain(result.code);
          if (args[0] !== 'store' && result.code !== 0)
            expect(result.stderr).toMatch(/^error\[(?!INTERNAL)\w+\]/m);
          codes.add(result.code);
        }
        rmSync(store, { recursive: true });
      }
    });
    expect(codes).toEqual(new Set([0, 1]));
  });

  test('a current directory that was removed is told', async () => {
    const script = 'mkdir "$1" && cd "$1" && rmdir "$1" && shift && exec "$@"';
    const args = ['-c', script, 'sh', join(work.path, 'gone'), process.execPath, binary];
    const { code, stderr } = await command('sh', [...args, '--root', fresh, '.'], { env });
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('error[USAGE]: the current directory has been removed'),
    });
  });

  test('a process for steps that is ended from outside is told with what may have ended it', async () => {
    const store = join(work.path, 'store');
    cpSync(fresh, store, { recursive: true });
    const context = join(work.path, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), 'FROM localhost/busybox\nRUN echo started; sleep 100\n');
    const { child, ended } = startBuild(buildArgs(store, context, ways[2]));
    await Promise.race([ended, seen(child.stderr, 'started')]);
    const [worker] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ');
    process.kill(Number(worker), 'SIGKILL');
    const { code, text } = await ended;
    expect({ code, text }).toMatchObject({
      code: 1,
      text: expect.stringMatching(
        /error\[SANDBOX_UNAVAILABLE\]: the process that executes steps ended \(SIGKILL\)[^]*hint: there may be too little memory/,
      ),
    });
  });
});

/** Waits for a text in a stream that others read too. */
function seen(stream: Readable | null, text: string): Promise<void> {
  let all = '';
  return new Promise((resolve) => {
    stream?.on('data', (data: Buffer) => {
      all += data.toString();
      if (new RegExp(`^#\\d+ [\\d.]+ ${text}$`, 'm').test(all)) resolve();
    });
  });
}
