import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cgroupHierarchies } from '../../src/host/probe.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import type { Bench } from './executor-steps.ts';
import { bench, makeRootfs, runtimes } from './executor-steps.ts';

const MiB = 1024 * 1024;

/** A file of the step's cgroup as a step reads it, in the hierarchy that this host has. */
function shown(controller: string, file: { readonly v1: string; readonly v2: string }): string {
  const old = cgroupHierarchies().find(({ controllers }) => controllers.includes(controller));
  return old === undefined
    ? `cat /sys/fs/cgroup/${file.v2}`
    : `cat /sys/fs/cgroup/${old.mount.split('/').at(-1)}/${file.v1}`;
}

/** Cgroups of steps that are there now. */
function stepCgroups(id: string): string[] {
  return cgroupHierarchies()
    .flatMap(({ own }) => [join(own, id), join(own, '..', id)])
    .filter((path) => existsSync(path));
}

suite(
  'C-EX-3: limits of a step',
  ['root', 'memory-cgroup', tool('runc'), tool('busybox', 'busybox-static')],
  () => {
    let folder: TempFolder;
    let layer: string;
    beforeAll(async () => {
      folder = await tempFolder('limits');
      layer = makeRootfs(join(folder.path, 'rootfs'));
    });
    afterAll(() => folder[Symbol.asyncDispose]());

    describe.each(runtimes)('on %s', (runtime) => {
      let steps: Bench;
      beforeAll(() => {
        steps = bench(join(folder.path, runtime), { runtime, layer });
      });

      test('memory is limited: the step is killed, and that it was is told', async () => {
        const limits = { memory: 24 * MiB, memorySwap: 24 * MiB };
        const killed = await steps.run('exec tail -c 200m /dev/zero', { limits });
        expect([killed.exitCode, killed.oomKilled]).toEqual([137, true]);
        await killed.discard();
        // Also where a child was killed, and the command goes on to fail by itself.
        const child = await steps.run('tail -c 200m /dev/zero || exit 3', { limits });
        expect([child.exitCode, child.oomKilled]).toEqual([3, true]);
        await child.discard();
        const enough = await steps.run('head -c 4m /dev/zero | tail -c 4m | wc -c; exit 4', { limits });
        expect([enough.exitCode, enough.oomKilled, enough.stdout]).toEqual([4, false, '4194304\n']);
        await enough.discard();
        const other = await steps.run("sh -c 'kill -9 $$'; exit $?", { limits });
        expect([other.exitCode, other.oomKilled]).toEqual([137, false]);
        await other.discard();
        const warnings = steps.events.flatMap((event) =>
          event.type === 'diagnostic' ? event.diagnostic.rule : [],
        );
        expect(warnings).not.toContain('Unlimited');
      });

      test('a step sees its limits', async () => {
        const result = await steps.run(
          [
            shown('memory', { v1: 'memory.limit_in_bytes', v2: 'memory.max' }),
            shown('cpu', { v1: 'cpu.cfs_quota_us', v2: 'cpu.max' }),
            'grep Cpus_allowed_list /proc/self/status',
            'echo x >>/sys/fs/cgroup/memory/memory.limit_in_bytes || true',
          ].join('; '),
          { limits: { memory: 64 * MiB, cpus: 0.5, cpusetCpus: '0' } },
        );
        await result.discard();
        const [memory, cpu, cpus] = result.stdout.split('\n');
        expect([memory, cpu?.split(' ')[0], cpus]).toEqual(['67108864', '50000', 'Cpus_allowed_list:\t0']);
        expect(result.stderr).toMatch(/Read-only file system|nonexistent/);
      });

      test('processor time is limited', async () => {
        const result = await steps.run(
          `i=0; while [ $i -lt 60000 ]; do i=$((i + 1)); done; ${shown('cpu', { v1: 'cpu.stat', v2: 'cpu.stat' })}`,
          { limits: { cpuQuota: 5000, cpuPeriod: 50_000 } },
        );
        await result.discard();
        expect(Number(/^nr_throttled (\d+)$/m.exec(result.stdout)?.[1])).toBeGreaterThan(0);
      });

      test('what the kernel does not take is an error of whoever asks', async () => {
        const error: unknown = await steps
          .run('true', { limits: { cpusetCpus: '4000' } })
          .catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({ code: 'USAGE', message: expect.stringMatching(/--cpuset-cpus 4000/) });
      });

      test('the cgroups go with the step', async () => {
        const made: string[] = [];
        const result = await steps.run(
          'sed s,.*/,, /proc/self/cgroup | sort -u; sed -n "s,.*/\\(tsbuild-[0-9a-f]*\\).*,\\1,p" /proc/self/cgroup | sort -u',
          {
            limits: { memory: 64 * MiB, cpus: 1 },
          },
        );
        await result.discard();
        made.push(...result.stdout.split('\n').filter((line) => line.startsWith('tsbuild-')));
        expect(made.length).toBeGreaterThan(0);
        for (const id of made) expect(stepCgroups(id)).toEqual([]);
      });
    });

    test('the next start removes the cgroups of a build that was killed', async () => {
      const steps = bench(join(folder.path, 'stale'), { runtime: 'embedded', layer });
      const first = await steps.run('true');
      await first.discard();
      const id = 'ffffffffffffffff';
      const memory = cgroupHierarchies().find(
        ({ controllers }) => controllers.includes('memory') || controllers.length === 0,
      );
      if (memory === undefined) throw new Error('this host has no memory cgroups');
      const directory = join(steps.root, 'snapshots', id);
      mkdirSync(directory);
      writeFileSync(join(directory, 'cgroups'), memory.own);
      mkdirSync(join(memory.own, `tsbuild-${id}/step`), { recursive: true });
      expect(stepCgroups(`tsbuild-${id}`)).toHaveLength(1);
      await steps.executor.cleanStale();
      expect(stepCgroups(`tsbuild-${id}`)).toEqual([]);
      expect(readFileSync('/proc/self/cgroup', 'utf8')).not.toContain(id);
    });
  },
);
