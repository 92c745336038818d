import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { must, tsbuild } from '../support/cli.ts';
import { tries, withSeed } from '../support/effort.ts';
import { seededRandom } from '../support/random.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import {
  buildAlone,
  buildArgs,
  env,
  expectSound,
  imagesOf,
  kill,
  mountsBelow,
  startBuild,
  writeContexts,
} from './builds.ts';

suite('builds at once on a disk of their own', ['root', 'linux', tool('busybox', 'busybox-static')], () => {
  let work: TempFolder;
  let disk: string;
  beforeEach(async () => {
    work = await tempFolder('disk');
    disk = join(work.path, 'disk');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=14m', 'tmpfs', disk]);
  });
  afterEach(async () => {
    execFileSync('umount', [disk]);
    await work[Symbol.asyncDispose]();
  });

  test('that is full: each fails for that reason, also when killed; with room again all is as if alone', async () => {
    const contexts = writeContexts(work.path, 8);
    const images = await buildAlone(join(work.path, 'alone'), contexts);
    const store = join(disk, 'store');
    await makeBase(store, 'localhost/busybox', busyboxRootfs());
    const next = seededRandom(11);
    const reasons = new Set<string>();
    for (let round = 0; round < 5; round += 1) {
      // From nearly nothing to enough for some of them.
      writeFileSync(join(disk, 'filler'), Buffer.alloc((5 - round) * 1_000_000));
      const running = contexts.map((context) =>
        startBuild(buildArgs(store, context, ['--build-arg', `ROUND=${round}`])),
      );
      const killing = running.filter((_, index) => index % 2 === 0);
      for (const build of killing) {
        await sleep(next() * 250);
        await kill(build);
      }
      for (const { ended } of running) {
        const { code, text } = await ended;
        const reason = /error\[(\w+)\]/.exec(text)?.[1];
        if (reason !== undefined) reasons.add(reason);
        if (code === 1) expect(text).toMatch(/no space left|No space left|DISK_FULL|error\[STEP_FAILED\]/i);
        else expect([0, null], text).toContain(code);
      }
    }
    expect([...reasons]).toContain('DISK_FULL');
    execFileSync('rm', [join(disk, 'filler')]);
    execFileSync('mount', ['-o', 'remount,size=300m', disk]);
    await expectSound(store, contexts, images);
    expect(mountsBelow(work.path).filter((line) => !line.includes(` ${disk} `))).toEqual([]);
  });

  test(
    'wherever it runs out of space a build says so, and nothing is a bug',
    { timeout: 1_800_000 },
    async () => {
      const [context = ''] = writeContexts(work.path, 1);
      const fresh = join(work.path, 'fresh');
      await makeBase(fresh, 'localhost/busybox', busyboxRootfs());
      const store = join(disk, 'store');
      const filler = join(disk, 'filler');
      const codes = new Set<number | null>();
      const ways = [
        ['--runtime', 'runc'],
        ['--runtime', 'embedded'],
        ['--isolation', 'chroot', '--network', 'default'],
      ];
      await withSeed(async (_, next) => {
        for (let round = 0; round < tries({ full: 300, short: 40 }); round += 1) {
          cpSync(fresh, store, { recursive: true });
          const { bavail, bsize } = statfsSync(disk);
          const room = Math.floor(next() ** 2 * 2 ** 23);
          writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - room)));
          const way = ways[round % ways.length];
          const build = startBuild(buildArgs(store, context, way), { TSBUILD_MIN_FREE_SPACE: '0' });
          const { code, text } = await build.ended;
          codes.add(code);
          if (code !== 0) expect(text).toMatch(/error\[DISK_FULL\]|no space left[^]*error\[STEP_FAILED\]/i);
          rmSync(filler);
          expect((await tsbuild(['store', 'check', '--root', store])).stdout).toMatch(/^sound: /);
          rmSync(store, { recursive: true });
        }
      });
      expect(codes).toEqual(new Set([0, 1]));
    },
  );

  test('that is read-only: what is cached is told, what is not says why, and nothing is tried twice', async () => {
    execFileSync('mount', ['-o', 'remount,size=300m', disk]);
    const contexts = writeContexts(work.path, 4);
    const store = join(disk, 'store');
    const images = await buildAlone(store, contexts);
    for (const context of contexts)
      await must(tsbuild(buildArgs(store, context, ['--build-arg', 'ROUND=cached']), { env }));
    const cachedImages = await imagesOf(store);
    expect(cachedImages.size).toBe(images.size);
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    const cached = await Promise.all(
      contexts.map((context) => startBuild(buildArgs(store, context, ['--build-arg', 'ROUND=cached'])).ended),
    );
    expect(cached.map(({ code }) => code)).toEqual(contexts.map(() => 0));
    const missing = await Promise.all(
      contexts.map((context) => startBuild(buildArgs(store, context, ['--build-arg', 'ROUND=new'])).ended),
    );
    for (const { code, text } of missing) {
      expect(code).toBe(1);
      expect(text).toContain('error[STORE_FAILED]');
      expect(text).toContain('the store must be writable');
    }
    expect(await imagesOf(store)).toEqual(cachedImages);
    expect(await tsbuild(['store', 'check', '--root', store])).toMatchObject({ code: 0, stderr: '' });
    expect(await must(tsbuild(['du', '--root', store]))).toContain('Total:');
    const pruned = await tsbuild(['prune', '--force', '--root', store]);
    expect(pruned.code).toBe(1);
    expect(pruned.stderr).toContain('error[STORE_FAILED]');
    execFileSync('mount', ['-o', 'remount,rw', disk]);
    await expectSound(store, contexts, images);
  });
});
