import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, afterAll, expect, test } from 'vitest';
import type { BuildExplanation, BuildRecord } from '../../src/index.ts';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import type { CommandResult } from '../support/cli.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';

suite('tsbuild explain and builds', ['root', tool('busybox', 'busybox-static')], () => {
  let work: TempFolder;
  let root: readonly string[];
  let context: string;
  beforeAll(async () => {
    work = await tempFolder('explain');
    root = ['--root', join(work.path, 'store')];
    context = join(work.path, 'context');
    mkdirSync(context);
    await makeBase(join(work.path, 'store'), 'localhost/busybox', busyboxRootfs());
  });
  afterAll(() => work[Symbol.asyncDispose]());
  afterEach(async () => must(tsbuild(['builds', 'rm', '--all', ...root])));

  const put = (text: string): void => writeFileSync(join(context, 'Dockerfile'), text);
  const build = (...flags: string[]) =>
    tsbuild(['build', ...root, '--progress', 'plain', '-o', 'type=cacheonly', ...flags, context]);

  test.each<readonly [string, string, readonly string[], string, readonly string[], string]>([
    ['command', 'RUN echo 1', [], 'RUN echo 2', [], 'the instruction changed: `RUN echo 1` -> `RUN echo 2`'],
    [
      'an ARG',
      'ARG A\nRUN echo a',
      ['--build-arg=A=1'],
      'ARG A\nRUN echo a',
      ['--build-arg=A=2'],
      'argument A changed: `1` -> `2`',
    ],
    ['an ENV', 'ENV B=1\nRUN echo b', [], 'ENV B=2\nRUN echo b', [], 'argument B changed: `1` -> `2`'],
    ['USER', 'USER 1\nRUN echo u', [], 'USER 2\nRUN echo u', [], 'user changed: `1` -> `2`'],
    ['a heredoc', 'RUN <<E\necho x\nE', [], 'RUN <<E\necho y\nE', [], 'the instruction changed: '],
    [
      'SHELL',
      'RUN echo s',
      [],
      'SHELL ["/bin/busybox", "ash", "-c"]\nRUN echo s',
      [],
      'the instruction changed: `["/bin/sh","-c","echo s"]` -> ',
    ],
    [
      '--network',
      'RUN echo n',
      ['--network=none'],
      'RUN echo n',
      ['--network=host', '--allow=network.host'],
      '--network changed: `none` -> `host`',
    ],
    [
      '--add-host',
      'RUN echo h',
      [],
      'RUN echo h',
      ['--add-host=a:1.2.3.4'],
      '--add-host changed: it is now `a`',
    ],
    ['--ulimit', 'RUN echo l', [], 'RUN echo l', ['--ulimit=nofile=64:64'], '--ulimit changed: it is now '],
    [
      'a mount',
      'RUN --mount=type=tmpfs,target=/t echo m',
      [],
      'RUN --mount=type=tmpfs,target=/t,size=1m echo m',
      [],
      'the instruction changed: ',
    ],
    [
      'a mount by variable',
      'ARG S=1\nRUN --mount=type=cache,id=c$S,target=/t echo m',
      [],
      'ARG S=2\nRUN --mount=type=cache,id=c$S,target=/t echo m',
      [],
      'argument S changed: `1` -> `2`',
    ],
  ])('names %s', async (_name, before, flags, after, others, reason) => {
    put(`FROM localhost/busybox\n${before}\n`);
    await good(build(...flags));
    put(`FROM localhost/busybox\n${after}\n`);
    const dry = await good(build('--dry-run', ...others));
    expect(dry.stdout).toContain(`because: ${reason}`);
    const { stderr } = await good(build(...others));
    expect(stderr).toContain(`because: ${reason}`);
    const { stdout } = await good(tsbuild(['explain', ...root, '--json', 'RUN', context]));
    const { steps } = JSON.parse(stdout) as BuildExplanation;
    expect(steps).toMatchObject([{ verdict: 'run', reason: expect.stringContaining(reason) }]);
    expect((await good(build('--dry-run', ...others))).stdout).not.toContain('because');
  });

  test('a file that a bind mount shows', async () => {
    put('FROM localhost/busybox\nRUN --mount=type=bind,source=in,target=/in cat /in/f\n');
    mkdirSync(join(context, 'in'));
    writeFileSync(join(context, 'in/f'), '1');
    writeFileSync(join(context, 'unrelated'), '1');
    await good(build());
    writeFileSync(join(context, 'unrelated'), '2');
    expect((await good(build())).stderr).toContain('CACHED');
    writeFileSync(join(context, 'in/f'), '2');
    expect((await good(build())).stderr).toContain('because: file `in/f` changed\n');
  });

  test('a secret is named by its mount, its value in no record, history or log', async () => {
    const secret = 'very-secret-value-1';
    put('FROM localhost/busybox\nARG V\nRUN --mount=type=secret,id=s,env=S echo "<$S> $V"\n');
    const env = { SECRET: secret };
    const run = (value: string) =>
      tsbuild(
        [
          'build',
          ...root,
          '--progress=plain',
          '-o',
          'type=cacheonly',
          '--secret=id=s,env=SECRET',
          '--allow=secret.leak',
          `--build-arg=V=x${value}`,
          context,
        ],
        { env },
      );
    await good(run(secret));
    const { stderr } = await good(run('other'));
    expect(stderr).toContain('argument V changed: `x****` -> `xother`');
    const { stdout } = await good(tsbuild(['builds', 'logs', ...root]));
    expect(stdout).toContain('<****> xother');
    const found = await command('grep', [
      '-rlaF',
      '--exclude-dir=blobs',
      '--exclude-dir=layers',
      secret,
      work.path,
    ]);
    expect(found.stdout).toBe('');
  });

  test('a build that was killed is shown as interrupted, with the output that it had', async () => {
    put('FROM localhost/busybox\nRUN echo now-running; sleep 1234\n');
    const killed = await tsbuild(['build', ...root, '--progress=plain', context], {
      kill: { signal: 'SIGKILL', until: /^.*\d now-running/m },
      timeout: 60_000,
    });
    expect(killed.code).toBe(137);
    const { stdout } = await good(tsbuild(['builds', 'ls', ...root, '--format=json']));
    expect(JSON.parse(stdout.split('\n')[0] ?? '')).toMatchObject({ status: 'interrupted' });
    expect((await good(tsbuild(['builds', 'logs', ...root]))).stdout).toMatch(
      /^\d+ \[2\/2\] RUN echo now.*\nnow-running\n$/,
    );
  });

  test('the log of a step is whole, however long; a step that failed is told', async () => {
    put('FROM localhost/busybox\nRUN seq 1 400000\nRUN exit 3\n');
    expect((await build()).code).toBe(1);
    const { stdout } = await good(tsbuild(['builds', 'logs', ...root, 'latest', 'Dockerfile:2']));
    const lines = stdout.split('\n');
    expect([lines.length, lines[0], lines[399_999]]).toEqual([400_001, '1', '400000']);
    const { stdout: json } = await good(tsbuild(['builds', 'inspect', ...root, '--format=json']));
    const record = JSON.parse(json) as BuildRecord;
    expect(record).toMatchObject({ status: 'failed', error: { code: 'STEP_FAILED' } });
    const table = (await good(tsbuild(['builds', 'inspect', ...root]))).stdout;
    expect(table).toMatch(/FAILED {3}\[3\/3\] RUN exit 3/);
    expect((await good(tsbuild(['builds', ...root]))).stdout).toMatch(/failed STEP_FAILED/);
  });

  test('--no-cache-from runs a line and what follows', async () => {
    put('FROM localhost/busybox\nRUN echo 1\nRUN echo 2\\\n more\nRUN echo 3\n');
    await good(build());
    const { stdout } = await good(build('--dry-run', '--no-cache-from', '4'));
    expect(
      stdout
        .match(/^\d+ \w+ +\[\d\/4\] RUN echo \d/gm)
        ?.map((line) => line.replace(/^\d+ (\w+) .* (\d)$/, '$2 $1')),
    ).toEqual(['1 CACHED', '2 RUN', '3 RUN']);
    const wrong = await build('--no-cache-from', '99');
    expect([wrong.code, wrong.stderr]).toEqual([
      2,
      expect.stringContaining('no instruction stands on line 99'),
    ]);
  });
});

/** A command that ends well. */
async function good(running: Promise<CommandResult>): Promise<CommandResult> {
  const result = await running;
  expect(result).toMatchObject({ code: 0 });
  return result;
}
