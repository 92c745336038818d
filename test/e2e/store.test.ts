import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { makeUser } from '../support/users.ts';

const dockerfile = `FROM localhost/busybox AS other
RUN --mount=type=cache,id=numbers,target=/cache head -c 3000000 /dev/urandom >/cache/a; chown 1000:1000 /cache/a; chmod 700 /cache; echo 1 >/one
FROM localhost/busybox
RUN mkdir -m 700 /closed && head -c 1000000 /dev/urandom >/closed/big && chown -R 1000:1000 /closed
COPY --from=other /one /one
`;

interface Usage {
  readonly Type: string;
  readonly Bytes: number;
  readonly Reclaimable: boolean;
  readonly Description: string;
}

suite(
  'the store of many builds',
  ['root', tool('busybox', 'busybox-static'), tool('newuidmap', 'uidmap')],
  () => {
    let work: TempFolder;
    let context: string;
    beforeAll(async () => {
      work = await tempFolder('store');
      context = join(work.path, 'context');
      mkdirSync(context);
      writeFileSync(join(context, 'Dockerfile'), dockerfile);
      execFileSync('chmod', ['-R', 'u=rwX,go=rX', work.path]);
    });
    afterAll(() => work[Symbol.asyncDispose]());

    const build = (store: string, ...more: string[]): string[] => [
      ...['--root', store, '--progress', 'plain', '--network', 'none', ...more],
      ...['-t', 'localhost/app', context],
    ];
    const usage = (text: string): Usage[] =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Usage);
    const diskOf = (store: string): number =>
      Number(execFileSync('du', ['-s', '--block-size=1', store], { encoding: 'utf8' }).split('\t')[0]);

    test.each(['root', 'subordinate'] as const)('du, prune and check as %s', async (kind) => {
      await using user = kind === 'root' ? undefined : await makeUser(kind);
      const run = user?.tsbuild ?? tsbuild;
      const store = join(user?.home ?? work.path, 'store');
      await makeBase(store, 'localhost/busybox', busyboxRootfs());
      if (user !== undefined) await must(command('chown', ['-R', String(user.uid), store]));
      await must(run(build(store)));

      const records = usage(await must(run(['du', '--root', store, '--format', 'json'])));
      const sum = records.reduce((total, { Bytes }) => total + Bytes, 0);
      expect(Math.abs(sum - diskOf(store)) / sum).toBeLessThan(0.03);
      expect(records.filter(({ Type }) => Type === 'exec.cachemount')).toMatchObject([
        { Reclaimable: true, Description: expect.stringContaining('numbers') as string },
      ]);
      expect(records.find(({ Type }) => Type === 'exec.cachemount')?.Bytes).toBeGreaterThan(3e6);

      expect((await run(['prune', '--root', store])).stderr).toContain('add --force');
      const before = diskOf(store);
      const pruned = await must(
        run(['prune', '--root', store, '--force', '--filter', 'type=exec.cachemount']),
      );
      expect(pruned).toMatch(/Freed: 3\.\d+MB\n$/);
      expect(before - diskOf(store)).toBeGreaterThan(2.9e6);
      expect(readdirSync(join(store, 'cache-mounts'))).toEqual([]);

      // What images are made of stays, so that nothing is run again for them.
      await must(run(['prune', '--root', store, '--force']));
      expect((await run(build(store))).stderr).not.toMatch(/DONE .*RUN mkdir/);
      await must(run(['prune', '--root', store, '--force', '--all']));
      const left = usage(await must(run(['du', '--root', store, '--format', 'json'])));
      expect(left.filter(({ Reclaimable }) => Reclaimable)).toEqual([]);
      expect(await must(run(['store', 'check', '--root', store]))).toMatch(/^sound: /);
      expect(
        await must(run(['run', '--root', store, '--network', 'none', 'localhost/app', 'cat', '/one'])),
      ).toBe('1\n');
    });

    test('a ceiling is looked at before a step: unused records make room, images do not', async () => {
      const store = join(work.path, 'limited');
      await makeBase(store, 'localhost/busybox', busyboxRootfs());
      for (let count = 0; count < 3; count += 1) await must(tsbuild(build(store, '--no-cache')));
      // The next one needs more than 500 kB besides what is there.
      const limit = ['--no-cache', '--store-limit', String(diskOf(store) + 500_000)];
      const without = await tsbuild(build(store, ...limit, '--no-gc'));
      expect(without.stderr).toContain('error[STORE_FULL]');
      await must(tsbuild(build(store, ...limit)));
      const refused = await tsbuild(build(store, '--no-cache', '--store-limit', '1m'));
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain('error[STORE_FULL]');
      expect(refused.stderr).toMatch(/Dockerfile:[24]:1/);
      const lean = await tsbuild(build(store, '--no-cache'), { env: { TSBUILD_MIN_FREE_SPACE: '900t' } });
      expect(lean.stderr).toContain('error[DISK_FULL]');
      expect(lean.stderr).toContain('tsbuild prune');
    });

    test('a build prunes by itself once a day: cache mounts that nobody used for two days', async () => {
      const store = join(work.path, 'automatic');
      await makeBase(store, 'localhost/busybox', busyboxRootfs());
      await must(tsbuild(build(store)));
      const old = join(store, 'cache-mounts', 'a'.repeat(64));
      mkdirSync(join(old, 'data'), { recursive: true });
      execFileSync('fallocate', ['-l', '520M', join(old, 'data/big')]);
      writeFileSync(join(old, 'lock'), '');
      const longAgo = Date.now() / 1000 - 3 * 86_400;
      for (const path of [join(old, 'lock'), old]) utimesSync(path, longAgo, longAgo);
      const mounts = (): string[] =>
        readdirSync(join(store, 'cache-mounts')).filter((name) => /^a{64}$/.test(name));
      await must(tsbuild(build(store, '--no-cache')));
      expect(mounts()).toHaveLength(1);
      utimesSync(join(store, 'last-gc'), longAgo, longAgo);
      await must(tsbuild(build(store, '--no-cache', '--no-gc')));
      await must(tsbuild(build(store)));
      expect(mounts()).toHaveLength(1);
      await must(tsbuild(build(store, '--no-cache')));
      expect(mounts()).toEqual([]);
    });

    test('a bit that flips in the store is told, comes into no image, and is gone after the repair', async () => {
      const store = join(work.path, 'flipped');
      await makeBase(store, 'localhost/busybox', busyboxRootfs());
      await must(tsbuild(build(store)));
      const blobs = join(store, 'blobs/sha256');
      const large = readdirSync(blobs)
        .map((name) => join(blobs, name))
        .toSorted((a, b) => readFileSync(b).length - readFileSync(a).length)[0];
      if (large === undefined) throw new Error('no blob');
      const bytes = readFileSync(large);
      bytes[5000] = (bytes[5000] ?? 0) ^ 4;
      writeFileSync(large, bytes);
      const checked = await tsbuild(['store', 'check', '--root', store]);
      expect(checked.code).toBe(1);
      expect(checked.stdout).toContain('BLOB_DAMAGED');
      const out = await tsbuild(build(store, '-o', `type=oci,dest=${join(work.path, 'out.tar')}`));
      expect(out.code).toBe(1);
      expect(out.stderr).toContain('error[STORE_FAILED]');
      expect((await tsbuild(['store', 'check', '--root', store, '--repair'])).code).toBe(0);
      await makeBase(store, 'localhost/busybox', busyboxRootfs());
      await must(tsbuild(build(store)));
      expect((await tsbuild(['store', 'check', '--root', store])).code).toBe(0);
    });

    test('the store of another user is told as that', async () => {
      await using owner = await makeUser('none');
      await using other = await makeUser('none');
      const store = join(owner.home, 'store');
      await must(command('chmod', ['755', owner.home]));
      await must(owner.tsbuild(['images', '--root', store]));
      for (const verb of [['du'], ['prune', '--force'], ['store', 'check']]) {
        const { code, stderr } = await other.tsbuild([...verb, '--root', store]);
        expect(code).toBe(1);
        expect(stderr).toContain('error[STORE_FAILED]');
        expect(stderr).toContain('belongs to');
      }
    });
  },
);
