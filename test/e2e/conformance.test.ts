import { lstatSync, utimesSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Buildah } from '../support/buildah.ts';
import { buildah } from '../support/buildah.ts';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { must, tsbuild, command } from '../support/cli.ts';
import {
  caseArguments,
  conformanceCases,
  fileServer,
  imageLines,
  prepareCase,
  unexplained,
} from '../support/conformance.ts';
import { expectGolden } from '../support/golden.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';
import { flatten, readLayout } from '../support/tree.ts';
import { differences } from './conformance/differences.ts';

const needs = [
  'root',
  tool('buildah'),
  tool('skopeo'),
  tool('runc'),
  tool('busybox', 'busybox-static'),
  tool('setcap', 'libcap2-bin'),
] as const;

suite('images are what buildah makes of the same Dockerfile', needs, () => {
  const stack = new AsyncDisposableStack();
  let folder: string;
  let store: string;
  let args: string[];
  let peer: Buildah;

  beforeAll(async () => {
    folder = stack.use(await tempFolder('conformance')).path;
    const server = stack.use(await fileServer());
    store = join(folder, 'store');
    args = caseArguments(folder, server.url);
    await makeBase(store, 'localhost/busybox', busyboxRootfs());
    await must(
      tsbuild([
        'save',
        '--root',
        store,
        '--format',
        'oci',
        '-o',
        join(folder, 'base.tar'),
        'localhost/busybox',
      ]),
    );
    await must(command('mkdir', [join(folder, 'base')]));
    await must(command('tar', ['-C', join(folder, 'base'), '-xf', join(folder, 'base.tar')]));
    peer = buildah(join(folder, 'buildah'));
    stack.defer(() => peer.close());
    await peer.load(join(folder, 'base'), 'localhost/busybox:latest');
  });
  afterAll(() => stack.disposeAsync());

  async function build(context: string, layout: string, more: readonly string[] = []): Promise<void> {
    const output = `type=oci,tar=false,dest=${layout}`;
    await must(tsbuild(['--root', store, '--progress', 'plain', ...args, '-o', output, ...more, context]));
  }

  for (const name of conformanceCases().filter((item) => item !== '11-heredoc')) {
    test(name, async () => {
      const context = await prepareCase(name, join(folder, 'cases'));
      const ours = join(folder, `${name}-tsbuild`);
      const theirs = join(folder, `${name}-buildah`);
      if (name === '10-special') {
        const parent = ['-f', join(context, 'parent.Dockerfile')];
        await must(tsbuild(['--root', store, ...parent, '-t', 'localhost/parent', context]));
        await peer.build({ context, args: parent, tag: 'localhost/parent', layout: join(folder, 'parent') });
      }
      await build(context, ours);
      await peer.build({ context, args, tag: `localhost/case-${name}`, layout: theirs });
      const rows = differences.filter((row) => row.case === '*' || row.case === name);
      const result = unexplained(
        { ours: imageLines(await readLayout(ours)), theirs: imageLines(await readLayout(theirs)) },
        rows,
      );
      expect(result.lines, '- buildah, + tsbuild').toEqual([]);
      // A row that explains nothing any more has to go.
      expect(rows.filter((row) => row.case === name && !result.used.has(row))).toEqual([]);
    });
  }

  test('heredocs give the tree and config of the golden', async () => {
    const context = await prepareCase('11-heredoc', join(folder, 'cases'));
    await build(context, join(folder, '11-heredoc-tsbuild'));
    const lines = imageLines(await readLayout(join(folder, '11-heredoc-tsbuild')));
    // The base differs with the distribution's busybox; the golden holds what the Dockerfile adds.
    const own = lines.filter((line) => !/^\/(bin|dev|etc|home|proc|root|run|sys|tmp|usr|var)\b/.test(line));
    expectGolden('conformance/heredoc.txt', `${own.join('\n')}\n`);
  });

  test("COPY keeps the source's mtime to the nanosecond", async () => {
    await using work = await tempFolder('mtime');
    await writeFile(join(work.path, 'file'), 'x');
    await writeFile(join(work.path, 'Dockerfile'), 'FROM scratch\nCOPY file /file\n');
    await must(command('touch', ['-d', '2001-02-03 04:05:06.123456789 UTC', join(work.path, 'file')]));
    expect(lstatSync(join(work.path, 'file'), { bigint: true }).mtimeNs).toBe(981173106123456789n);
    await build(work.path, join(work.path, 'out'));
    const [node] = flatten((await readLayout(join(work.path, 'out'))).layers);
    expect(node).toMatchObject({ path: 'file', mtime: '981173106.123456789' });
    // The same content with another mtime is no reason to copy again.
    utimesSync(join(work.path, 'file'), 1, 1);
    const again = await tsbuild(['--root', store, '--progress', 'plain', work.path]);
    expect(again.stderr).toMatch(/CACHED/);
  });
});
