import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { must, tsbuild } from '../support/cli.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';

suite('signals during RUN', ['root', tool('busybox', 'busybox-static')], () => {
  let work: TempFolder;
  let store: string;

  beforeAll(async () => {
    work = await tempFolder('signals');
    store = join(work.path, 'store');
    await makeBase(store, 'localhost/busybox', busyboxRootfs());
  });
  afterAll(() => work[Symbol.asyncDispose]());

  function dockerfile(seconds: number): void {
    // The number of seconds is the mark by which the process is found again.
    writeFileSync(
      join(work.path, 'Dockerfile'),
      `FROM localhost/busybox\nRUN echo half >/half && sh -c 'echo now-running; sleep ${seconds}'\n`,
    );
  }

  for (const runtime of ['default', 'embedded']) {
    const how = runtime === 'default' ? [] : ['--runtime', runtime];
    for (const [signal, status] of [
      ['SIGINT', 130],
      ['SIGTERM', undefined],
      ['SIGKILL', 137],
    ] as const) {
      test(`${signal} leaves nothing behind (${runtime} runtime)`, async () => {
        const seconds = 4000 + Math.floor(Math.random() * 100_000);
        dockerfile(seconds);
        const blobs = readdirSync(join(store, 'blobs/sha256')).toSorted();
        const before = leftovers(store);
        const result = await tsbuild(['--root', store, '--progress', 'plain', ...how, work.path], {
          kill: { signal, until: /^.*\d now-running/m, group: false },
          timeout: 60_000,
        });
        if (status === undefined) expect(result.code).not.toBe(0);
        else expect(result.code).toBe(status);
        // The kernel ends a killed builder's children on its own; that may take a moment.
        const limit = signal === 'SIGKILL' ? 60_000 : 0;
        await eventually(() => processes(`sleep ${seconds}`).length === 0, limit);
        await eventually(() => mounts(store).length === 0, limit);
        expect(processes(`sleep ${seconds}`)).toEqual([]);
        expect(mounts(store)).toEqual([]);
        expect(readdirSync(join(store, 'blobs/sha256')).toSorted()).toEqual(blobs);
        if (signal !== 'SIGKILL') {
          expect(leftovers(store).filter((item) => !before.includes(item))).toEqual([]);
          // Nor does the runtime's own way of ending show up as if the step had said it.
          expect(result.stderr).not.toMatch(/^#\d+ [\d.]+ (?!now-running)/m);
        }
      });
    }
  }

  test('after SIGKILL the next build works, and nothing of the killed one is taken for a result', async () => {
    const marker = `${Math.floor(Math.random() * 1e9)}`;
    const text = (sleep: string): string =>
      `FROM localhost/busybox\nRUN echo ${marker} >/half && echo now-running && ${sleep}\n`;
    writeFileSync(join(work.path, 'Dockerfile'), text('sh -c "[ -e /wait ] || sleep 3"'));
    await tsbuild(['--root', store, '--progress', 'plain', work.path], {
      kill: { signal: 'SIGKILL', until: /\d now-running/ },
    });
    const again = await tsbuild(['--root', store, '--progress', 'plain', '-t', 'localhost/after', work.path]);
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toMatch(/\d now-running/);
    await must(tsbuild(['inspect', '--root', store, 'localhost/after']));
    expect(leftovers(store)).toEqual([]);
  });
});

async function eventually(holds: () => boolean, milliseconds: number): Promise<void> {
  const end = Date.now() + milliseconds;
  while (!holds() && Date.now() < end) {
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
}

/** Command lines of running processes that hold `text`. */
function processes(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(join('/proc', pid, 'cmdline'), 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter((line) => line.includes(text));
}

/** Working directories of steps and of processes that are still in the store. */
function leftovers(store: string): string[] {
  return ['tmp', 'snapshots'].flatMap((name) => {
    const folder = join(store, name);
    return existsSync(folder) ? readdirSync(folder).map((item) => join(name, item)) : [];
  });
}

function mounts(folder: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .filter((line) => line.includes(folder));
}
