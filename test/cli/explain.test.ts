import { expect, test } from 'vitest';
import type * as library from '../../src/index.ts';
import { digest, runCli } from './fake-context.ts';

const evil = 'a\x1b]0;title\x07\nb\x1b[2J';
const step: library.ExplainedStep = {
  ...{ number: 2, id: digest, name: `[1/2] COPY ${evil} /`, state: 'done', verdict: 'run' },
  ...{ reason: `file \`${evil}\` changed`, error: evil, from: evil, line: 2, key: digest },
};
const record: library.BuildRecord = {
  ...{ id: '0abcdefghijkl', started: 1000, ended: 3500, status: 'failed', target: undefined, names: [] },
  error: { code: 'STEP_FAILED', message: evil },
  ...{ context: evil, dockerfile: evil, steps: [step] },
};
const calls = (): Partial<typeof library> => ({
  explain: () => Promise.resolve({ build: record, steps: [step] }),
  listBuilds: () => Promise.resolve([record]),
  inspectBuild: () => Promise.resolve(record),
  buildLogs: () =>
    Promise.resolve([
      {
        step,
        read: async function* () {
          yield Buffer.from(`one\n${evil.slice(0, 3)}`);
          yield Buffer.from(evil.slice(3));
        },
      },
    ]),
  removeBuilds: ({ builds }) => Promise.resolve(builds ?? ['all']),
});

test.each([
  ['explain'],
  ['explain', '--dry-run', '.'],
  ['build', '--dry-run', '.'],
  ['builds'],
  ['builds', 'inspect'],
  ['builds', 'logs'],
])('no control character reaches a terminal: tsbuild %s %s %s', async (...argv) => {
  const { status, stdout, stderr } = await runCli(argv, {
    library: calls(),
    terminal: true,
    env: { NO_COLOR: '1' },
  });
  expect([status, stderr]).toEqual([0, '']);
  // oxlint-disable-next-line no-control-regex -- that is what it is about
  expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
  expect(stdout).toContain('a b');
});

test('logs that are piped come as they were', async () => {
  const { stdout } = await runCli(['builds', 'logs', 'latest', '2'], { library: calls() });
  expect(stdout).toBe(`one\n${evil}`);
});

test('JSON has all, and escapes it', async () => {
  const { stdout } = await runCli(['explain', '--json'], { library: calls() });
  expect(JSON.parse(stdout)).toMatchObject({
    build: { id: record.id },
    steps: [{ reason: step.reason, key: digest }],
  });
  const list = await runCli(['builds', 'ls', '--format=json'], { library: calls() });
  expect(JSON.parse(list.stdout)).toMatchObject({ id: record.id, steps: { cached: 0, run: 1 } });
});

test('words are a step, a context or both', async () => {
  const asked: library.ExplainBuildOptions[] = [];
  const explain: typeof library.explain = (options) => {
    asked.push(options);
    return Promise.resolve({ build: record, steps: [] });
  };
  for (const words of [
    [],
    ['3'],
    ['.'],
    ['Dockerfile:3', '.'],
    ['--dry-run', '.'],
    ['--dry-run', 'RUN', '.'],
  ])
    expect((await runCli(['explain', ...words], { library: { explain } })).status).toBe(0);
  expect(asked.map(({ step: wanted, context, dryRun }) => [wanted, context, dryRun])).toEqual([
    [undefined, undefined, undefined],
    ['3', undefined, undefined],
    [undefined, '.', undefined],
    ['Dockerfile:3', '.', undefined],
    [undefined, '.', true],
    ['RUN', '.', true],
  ]);
});

test.each([
  [['builds', 'nothing'], 'has no `nothing`'],
  [['builds', 'lgos'], 'did you mean `logs`?'],
  [['builds', 'ls', 'x'], 'too many arguments for `tsbuild builds ls`'],
  [['builds', 'inspect', 'x', 'y'], 'too many arguments for `tsbuild builds inspect`'],
  [['prun'], 'did you mean `prune`?'],
  [['builds', 'rm'], 'say which builds'],
  [['builds', 'rm', '--all', 'x'], 'say which builds'],
  [['build', '--no-cache-from', '0', '.'], '--no-cache-from'],
])('wrong usage is told: %j', async (argv, text) => {
  const result = await runCli(argv, { library: calls() });
  expect(result).toMatchObject({ status: 2, stderr: expect.stringContaining(text) });
});

test('a number is no `#N` of the progress, and all are as wide', async () => {
  const steps = [2, 10].map((number): library.ExplainedStep => ({
    id: digest,
    number,
    name: 'RUN x',
    reason: 'r',
    state: 'done',
    verdict: 'run',
  }));
  const explain: typeof library.explain = () => Promise.resolve({ build: undefined, steps });
  const { stdout } = await runCli(['explain', '--dry-run', '.'], { library: { explain } });
  expect(stdout).toBe(
    ' 2 RUN      RUN x\n            because: r\n10 RUN      RUN x\n            because: r\n0 cached, 2 to run\n',
  );
});
