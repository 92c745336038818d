import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { must, tsbuild } from '../support/cli.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

interface Vertex {
  readonly name: string;
  readonly started?: string;
  readonly completed?: string;
}

suite('two independent stages of two seconds', ['root', tool('busybox', 'busybox-static')], () => {
  test('overlap, and take at most 0.7 of the time that they take one after the other', async () => {
    await using work = await tempFolder('parallel');
    const store = join(work.path, 'store');
    await makeBase(store, 'localhost/busybox', busyboxRootfs());
    writeFileSync(
      join(work.path, 'Dockerfile'),
      [
        'FROM localhost/busybox AS left',
        'RUN sleep 2 && echo left >/left',
        'FROM localhost/busybox AS right',
        'RUN sleep 2 && echo right >/right',
        'FROM scratch',
        'COPY --from=left /left /',
        'COPY --from=right /right /',
        '',
      ].join('\n'),
    );
    const build = ['--root', store, '--no-cache', '--progress', 'rawjson', '-o', 'type=cacheonly'];
    // Once before the measurement: the runtime is probed and the base unpacked in both of the measured builds or in none.
    await must(tsbuild([...build, '--target', 'left', work.path]));

    let start = performance.now();
    await must(tsbuild([...build, '--parallelism', '1', work.path]));
    const serial = performance.now() - start;

    start = performance.now();
    const { stderr, code } = await tsbuild([...build, work.path]);
    const parallel = performance.now() - start;
    expect(code).toBe(0);

    const spans = runSpans(stderr);
    expect([...spans.keys()].toSorted()).toEqual(['left', 'right']);
    const [left, right] = [spans.get('left'), spans.get('right')];
    if (left === undefined || right === undefined) throw new Error('no spans');
    expect(Math.min(left.end, right.end) - Math.max(left.start, right.start)).toBeGreaterThan(1500);
    expect(
      parallel / serial,
      `${Math.round(parallel)} ms against ${Math.round(serial)} ms`,
    ).toBeLessThanOrEqual(0.7);
  });
});

/** When the sleeping steps started and ended, in milliseconds. */
function runSpans(output: string): Map<string, { start: number; end: number }> {
  const spans = new Map<string, { start: number; end: number }>();
  for (const line of output.split('\n')) {
    if (!line.startsWith('{')) continue;
    const { vertexes = [] } = JSON.parse(line) as { vertexes?: Vertex[] };
    for (const { name, started, completed } of vertexes) {
      const stage = /sleep 2 && echo (\w+)/.exec(name)?.[1];
      if (stage === undefined || started === undefined) continue;
      const end = completed === undefined ? Number.NaN : Date.parse(completed);
      spans.set(stage, { start: Date.parse(started), end });
    }
  }
  return spans;
}
