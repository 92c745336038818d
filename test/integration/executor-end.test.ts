import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cgroupHierarchies } from '../../src/host/probe.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { projectRoot } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import type { Bench } from './executor-steps.ts';
import { allRuntimes, bench, makeRootfs } from './executor-steps.ts';

/** Pids of processes whose command line has the mark. */
function processesWith(mark: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(mark);
    } catch {
      return false;
    }
  });
}

/** Cgroups that steps made and nobody removed. */
function cgroupsOf(ids: readonly string[]): string[] {
  const places = cgroupHierarchies().flatMap(({ mount, own }) => [mount, own]);
  return places.flatMap((place) =>
    ids.map((id) => join(place, `tsbuild-${id}`)).filter((path) => existsSync(path)),
  );
}

/** The limit is for what never comes; a busy machine may take long for what does. */
async function until(what: () => boolean): Promise<void> {
  const end = Date.now() + 60_000;
  while (!what() && Date.now() < end) await sleep(10);
  expect(what()).toBe(true);
}

suite('the end of a step', ['root', tool('runc'), tool('crun'), tool('busybox', 'busybox-static')], () => {
  let folder: TempFolder;
  let layer: string;
  beforeAll(async () => {
    folder = await tempFolder('executor-end');
    layer = makeRootfs(join(folder.path, 'rootfs'));
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  describe.each(allRuntimes)('on %s', (runtime) => {
    let steps: Bench;
    beforeAll(() => {
      steps = bench(join(folder.path, runtime), { runtime, layer });
    });

    test('cancelling kills the whole tree before the promise rejects', async () => {
      // A time that no other process sleeps for.
      const mark = runtime === 'runc' ? '86411' : '86412';
      const controller = new AbortController();
      let ids: string[] = [];
      const running = steps.run(
        `setsid sleep ${mark} & (trap "" TERM INT HUP; sleep ${mark}) & sleep ${mark}`,
        {
          signal: controller.signal,
        },
      );
      running.catch(() => {});
      await until(() => processesWith(`sleep\0${mark}`).length >= 3);
      ids = readdirSync(join(steps.root, 'snapshots'));
      controller.abort(new Error('stopped'));
      await expect(running).rejects.toThrow('stopped');
      expect(processesWith(mark)).toEqual([]);
      expect(readdirSync(join(steps.root, 'snapshots'))).toEqual([]);
      expect(cgroupsOf(ids)).toEqual([]);
    });

    test('cancelling at any moment of the start leaves nothing', async () => {
      await steps.executor.check(hostPlatform());
      for (const delay of [0, 2, 5, 8, 12, 17, 25, 40]) {
        const controller = new AbortController();
        const running = steps.run('sleep 86413', { signal: controller.signal });
        running.catch(() => {});
        await sleep(delay);
        controller.abort(new Error('stopped'));
        await expect(running, `after ${delay} ms`).rejects.toThrow('stopped');
        expect(processesWith('86413')).toEqual([]);
        expect(readdirSync(join(steps.root, 'snapshots'))).toEqual([]);
      }
    });

    test('output is not read while its reader has not caught up', async () => {
      const gate = Promise.withResolvers<void>();
      let pieces = 0;
      let bytes = 0;
      const running = steps.run('head -c 1000000 /dev/zero; echo said >&2', {
        onOutput: (_stream, data) => {
          pieces += 1;
          bytes += data.length;
          return gate.promise;
        },
      });
      await until(() => pieces > 0);
      await sleep(200);
      // One piece of standard output, and none of what comes after it.
      expect([pieces, bytes < 200_000]).toEqual([1, true]);
      gate.resolve();
      const { exitCode } = await running;
      expect([exitCode, bytes]).toEqual([0, 1_000_005]);
    });

    test('cancelling does not wait for a reader that never catches up', async () => {
      const controller = new AbortController();
      const seen = Promise.withResolvers<void>();
      const running = steps.run('yes 86417', {
        signal: controller.signal,
        onOutput: () => {
          seen.resolve();
          return new Promise(() => {});
        },
      });
      running.catch(() => {});
      await seen.promise;
      controller.abort(new Error('stopped'));
      await expect(running).rejects.toThrow('stopped');
      expect(processesWith('yes\x0086417')).toEqual([]);
    });

    test('a step whose background process lives on ends with its first process', async () => {
      const result = await steps.run('sleep 86414 & exit 0');
      expect(result.exitCode).toBe(0);
      expect(processesWith('86414')).toEqual([]);
    });

    test('SIGKILL of tsbuild leaves no process and no mount', async () => {
      const mark = runtime === 'runc' ? '86415' : '86416';
      const root = join(folder.path, `${runtime}-killed`);
      const program = `
        import { bench } from '${join(projectRoot, 'test/integration/executor-steps.ts')}';
        const steps = bench(${JSON.stringify(root)}, { runtime: '${runtime}', layer: ${JSON.stringify(layer)} });
        await steps.run('sleep ${mark} & setsid sleep ${mark} & sleep ${mark}', { op: { network: 'default' } });
      `;
      const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
        cwd: projectRoot,
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      await until(() => processesWith(`sleep\0${mark}`).length >= 3);
      const mountsBefore = readFileSync('/proc/self/mountinfo', 'utf8');
      // Nothing is mounted where others can see it, even while the step runs.
      expect(mountsBefore).not.toContain(root);
      const store = join(root, 'store:with,marks');
      const ids = readdirSync(join(store, 'snapshots'));
      const ended = new Promise((resolve) => {
        child.once('exit', resolve);
      });
      child.kill('SIGKILL');
      await ended;
      await until(() => processesWith(mark).length === 0);
      await until(() => processesWith(root).length === 0);
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(root);
      // The next process takes away what lies in the store, and the runtime's cgroups.
      const later = bench(root, { runtime, layer });
      await later.executor.cleanStale();
      expect(readdirSync(join(store, 'snapshots'))).toEqual([]);
      expect(cgroupsOf(ids)).toEqual([]);
    });
  });

  test('a worker whose build has gone ends what it does, and itself, without an error', async () => {
    const program = fileURLToPath(new URL('../../src/api/steps/worker.ts', import.meta.url));
    const worker = fork(program, [join(folder.path, 'worker'), 'embedded', ''], { silent: true });
    let said = '';
    worker.stderr?.on('data', (data: Buffer) => (said += String(data)));
    const ended = once(worker, 'exit');
    worker.send({ id: 1, call: 'takeCaches', op: { mounts: [] } });
    await once(worker, 'message');
    worker.send({ id: 2, call: 'check', platform: hostPlatform() });
    worker.disconnect();
    expect([...(await ended), said]).toEqual([0, null, '']);
  });
});
