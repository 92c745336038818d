import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { BuildOptions, FailedRun, ShellOptions } from '../../src/index.ts';
import { BuildError } from '../../src/index.ts';
import { tempFolder } from '../support/temp.ts';
import { buildResult, runCli } from './fake-context.ts';

/** What `tsbuild shell` asks the library for, in a folder with a Dockerfile that has the stages `one` and `two`. */
async function asked(
  words: string,
  options: { readonly terminal?: boolean; readonly input?: string } = {},
): Promise<unknown> {
  await using folder = await tempFolder('shell-words');
  writeFileSync(join(folder.path, 'Dockerfile'), '');
  writeFileSync(join(folder.path, 'other'), '');
  writeFileSync(join(folder.path, 'Dockerfile.dev'), '');
  mkdirSync(join(folder.path, 'sub'));
  writeFileSync(join(folder.path, 'sub/own'), '');
  let given: ShellOptions | undefined;
  const names = ['one', 'two'];
  const library = {
    shell: async (it: ShellOptions) => {
      given = it;
      return { exitCode: 5 };
    },
    listStages: async () => ({
      source: { name: '', text: '' },
      targets: names.map((name) => ({ name, default: false, base: '', range: emptyRange })),
    }),
  };
  const argv = ['shell', '--progress=none', ...words.split(' ').filter((word) => word !== '')];
  const { status, stderr } = await runCli(
    argv.map((word) => word.replace('@', folder.path)),
    { library, ...options },
  );
  if (given === undefined) return `${status} ${stderr.split('\n')[0]}`;
  expect(status).toBe(5);
  const { context, dockerfile, line, before, target, image, command, tty, interactive } = given;
  const told = {
    context,
    dockerfile,
    line,
    before,
    target,
    image,
    command,
    tty,
    interactive: interactive === true ? undefined : false,
  };
  const text = JSON.stringify(told).replaceAll(folder.path, '@');
  return JSON.parse(text);
}

const emptyRange = { start: { line: 1, column: 1 }, end: { line: 1, column: 1 } };

describe('M-4: the words of `tsbuild shell`', () => {
  test.each([
    ['', { context: '.' }],
    [':7', { context: '.', line: 7 }],
    [':7 @', { context: '@', line: 7 }],
    ['@/Dockerfile:7 --before', { context: '.', dockerfile: '@/Dockerfile', line: 7, before: true }],
    ['Dockerfile:7 @', { context: '@', dockerfile: '@/Dockerfile', line: 7 }],
    ['own:1 @/sub', { context: '@/sub', dockerfile: '@/sub/own', line: 1 }],
    ['nginx:7 @', { context: '@', image: 'nginx:7' }],
    ['two @', { context: '@', target: 'two' }],
    ['TWO @', { context: '@', target: 'TWO' }],
    ['three @', { context: '@', image: 'three' }],
    ['@', { context: '@' }],
    ['@ --target one', { context: '@', target: 'one' }],
    ['-f @/other :3', { context: '.', dockerfile: '@/other', line: 3 }],
  ])('%s', async (words, expected) => {
    expect(await asked(words)).toEqual({ tty: false, ...expected });
  });

  test('it has a terminal where there is one, and runs a command', async () => {
    expect(await asked(':2', { terminal: true })).toEqual({ context: '.', line: 2, tty: true });
    expect(await asked(':2', { terminal: true, input: 'ls' })).toMatchObject({ tty: false });
    expect(await asked(':2 -c ls')).toMatchObject({ command: 'ls' });
  });

  test.each([
    ['one @ --before', '2 error[USAGE]: `--before` needs a line'],
    ['@/Dockerfile', '2 error[USAGE]: of `'],
    ['@/Dockerfile.dev @', '2 error[USAGE]: of `'],
    ['a b c', '2 error[USAGE]: too many arguments'],
    ['no/Dockerfile:3 @', '1 error[DOCKERFILE_NOT_FOUND]: there is no `no/Dockerfile` here'],
  ])('%s is refused', async (words, expected) => {
    expect(await asked(words)).toContain(expected);
  });
});

describe('D-1: --on-fail=shell', () => {
  const failed = new BuildError('STEP_FAILED', 'it did not complete', { details: { exitCode: 3 } });
  const failing =
    (shell: FailedRun['shell']) =>
    async ({ onEvent, onFailedStep }: BuildOptions): Promise<never> => {
      const name = '[1/1] RUN x';
      const id = 'sha256:1' as const;
      onEvent?.({ type: 'vertex', id, name, state: 'running', time: 0 });
      onEvent?.({ type: 'log', id, stream: 'stdout', data: Buffer.from('the output\n'), time: 0 });
      onEvent?.({ type: 'vertex', id, name, state: 'failed', error: 'it', time: 0 });
      await onFailedStep?.({ name, error: failed, shell });
      onEvent?.({ type: 'log', id: 'sha256:2', stream: 'stdout', data: Buffer.from('too late\n'), time: 0 });
      throw failed;
    };

  test.each(['plain', 'tty', 'rawjson', 'none'])('with --progress=%s', async (mode) => {
    const calls: unknown[] = [];
    const build = failing(async (streams) => {
      calls.push(streams);
      return { exitCode: 0 };
    });
    const { status, stderr } = await runCli(['--on-fail=shell', `--progress=${mode}`, '.'], {
      terminal: true,
      library: { build },
    });
    expect(status).toBe(1);
    expect(calls).toEqual([{ interactive: true, tty: true }]);
    const [before, after] = stderr.split('This is a shell in its place');
    expect(before).toContain('[1/1] RUN x failed with exit code 3.');
    if (mode === 'plain' || mode === 'tty') expect(before).toContain('the output');
    expect(after).toMatch(/error\[STEP_FAILED\].*it did not complete/s);
    expect(stderr).not.toContain('too late');
    expect(stderr).not.toContain(Buffer.from('too late\n').toString('base64'));
  });

  test('a shell that cannot be opened changes nothing', async () => {
    const build = failing(() => Promise.reject(new BuildError('STEP_START', 'there is no sh')));
    const { status, stderr } = await runCli(['--on-fail=shell', '.'], { terminal: true, library: { build } });
    expect(status).toBe(1);
    expect(stderr).toContain('no shell can be opened: there is no sh\n');
    expect(stderr).toContain('it did not complete');
  });

  test('without a terminal it is refused at once', async () => {
    const build = async () => buildResult();
    for (const options of [{}, { terminal: true, input: '' }]) {
      const { status, stderr } = await runCli(['--on-fail=shell', '.'], { ...options, library: { build } });
      expect(status).toBe(2);
      expect(stderr).toContain('`--on-fail=shell` needs a terminal on stdin and stdout');
    }
    expect((await runCli(['--on-fail=keep', '.'], { library: { build } })).status).toBe(2);
  });
});
