import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkRules } from '../../src/frontend/checks/rules.ts';
import type { CliResult } from '../cli/fake-context.ts';
import { expectGolden } from '../support/golden.ts';
import type { CheckStore } from './check-store.ts';
import { checkStore } from './check-store.ts';

let store: CheckStore;
beforeAll(async () => {
  store = await checkStore();
});
afterAll(() => store[Symbol.asyncDispose]());

describe('I-3: the checks as a command', () => {
  const ask = (argv: readonly string[]): Promise<CliResult> => store.run(argv);
  const contextOf = (content: string): string => store.contextOf(content);

  const text =
    '# check=skip=StageNameCasing\nFROM scratch AS One\nLABEL a b\nlabel c=d\nFROM scratch\nMAINTAINER x\n';

  test('I-3: text, with the count at the end; status 1 when something was found', async () => {
    const context = contextOf(text);
    const found = await ask(['check', context]);
    expect(found.status).toBe(1);
    expectGolden('checks/command.txt', found.stdout.replaceAll(context, 'CONTEXT'));
    expect(await ask(['check', contextOf('FROM scratch\n')])).toMatchObject({
      status: 0,
      stdout: 'Check complete, no warnings found.\n',
      stderr: '',
    });
  });

  test('I-3: `build --check`, `--call=check` and `check` say the same', async () => {
    const context = contextOf(text);
    const plain = await ask(['check', context]);
    expect(await ask(['build', '--check', context])).toEqual(plain);
    expect(await ask(['--call=check', context])).toEqual(plain);
    expect((await ask(['--call=check,format=json', context])).stdout).toBe(
      (await ask(['check', '--format=json', context])).stdout,
    );
  });

  test('I-3: without a target all stages are checked, with one those that it needs', async () => {
    const many = 'FROM scratch AS a\nLABEL x=$NO\nFROM scratch AS b\nLABEL y=$NO\nFROM a AS c\n';
    const lines = async (...argv: string[]): Promise<number[]> => {
      const { stdout } = await ask(['check', '--format=json', ...argv, contextOf(many)]);
      const { warnings } = JSON.parse(stdout) as {
        warnings: { location: { ranges: { start: { line: number } }[] } }[];
      };
      return warnings.map(({ location }) => location.ranges[0]?.start.line ?? 0);
    };
    expect(await lines()).toEqual([2, 4]);
    expect(await lines('--target=c')).toEqual([2]);
  });

  test('I-3: JSON has sources, warnings with ranges, and the error that stops a build', async () => {
    const context = contextOf(text);
    expectGolden(
      'checks/command.json',
      (await ask(['check', '--format=json', context])).stdout.replaceAll(context, 'CONTEXT'),
    );
    const faulty = await ask(['check', '--format=json', contextOf('FROM scratch\nRNU x\nCOPY a\n')]);
    expect(faulty.status).toBe(1);
    expect(JSON.parse(faulty.stdout)).toMatchObject({
      warnings: [],
      buildError: { code: 'DOCKERFILE_UNKNOWN_INSTRUCTION', location: { ranges: [{ start: { line: 2 } }] } },
      buildErrors: [{ message: 'unknown instruction `RNU`' }, { code: 'DOCKERFILE_SYNTAX' }],
    });
  });

  test('I-3: faults of the file are told, each once', async () => {
    const { status, stdout } = await ask(['check', contextOf('FROM scratch as X\nRNU x\nCOPY a\n')]);
    expect(status).toBe(1);
    expect(stdout.match(/^error\[/gm)).toHaveLength(2);
    expect(stdout).toContain('Check failed: 2 errors, 2 warnings.');
  });

  test('I-3: SARIF has the rules, the places and the fixes', async () => {
    const { stdout, status } = await ask(['check', '--format=sarif', contextOf(text)]);
    expect(status).toBe(1);
    const sarif = JSON.parse(stdout) as {
      version: string;
      runs: {
        tool: { driver: { rules: { id: string }[] } };
        results: { ruleId: string; ruleIndex: number; level: string; locations: unknown; fixes?: unknown }[];
      }[];
    };
    const [run] = sarif.runs;
    expect(sarif.version).toBe('2.1.0');
    expect(run?.tool.driver.rules.map(({ id }) => id)).toEqual(Object.keys(checkRules));
    for (const result of run?.results ?? [])
      expect(run?.tool.driver.rules[result.ruleIndex]?.id).toBe(result.ruleId);
    expect(run?.results.find(({ ruleId }) => ruleId === 'LegacyKeyValueFormat')).toMatchObject({
      level: 'warning',
      locations: [
        { physicalLocation: { region: { startLine: 3, startColumn: 1, endLine: 3, endColumn: 10 } } },
      ],
      fixes: [
        {
          artifactChanges: [
            {
              replacements: [
                {
                  deletedRegion: { startLine: 3, startColumn: 8, endColumn: 10 },
                  insertedContent: { text: '=b' },
                },
              ],
            },
          ],
        },
      ],
    });
    expect(run?.results.find(({ ruleId }) => ruleId === 'MaintainerDeprecated')?.fixes).toBeUndefined();
  });

  test('I-3: no registry is asked, and nothing is built', async () => {
    const context = contextOf('FROM registry.invalid/none:1\nRUN false\nCOPY missing /\n');
    expect((await ask(['check', context])).stdout).toBe(
      'note: not in the store, so their variables are not known: registry.invalid/none:1\n' +
        'Check complete, no warnings found.\n',
    );
    const { stdout } = await ask(['check', '--format=json', context]);
    expect(JSON.parse(stdout)).toMatchObject({ warnings: [], unknownBases: ['registry.invalid/none:1'] });
  });

  test('I-3: a finding in a trigger of a base has a source of its own, and no place in the file', async () => {
    const context = contextOf('FROM triggering\n');
    const { sources, warnings } = JSON.parse((await ask(['check', '--format=json', context])).stdout) as {
      sources: { filename: string; data: string }[];
      warnings: { location: { sourceIndex: number } }[];
    };
    expect(sources.map(({ filename, data }) => [filename, Buffer.from(data, 'base64').toString()])).toEqual([
      ['Dockerfile', 'FROM triggering\n'],
      ['ONBUILD of docker.io/library/triggering:latest', 'LABEL a=$b'],
      ['ONBUILD of docker.io/library/triggering:latest', 'LABEL c=$d'],
    ]);
    expect(warnings.map(({ location }) => location.sourceIndex)).toEqual([1, 2]);
    const { stdout } = await ask(['check', '--format=sarif', context]);
    const { runs } = JSON.parse(stdout) as { runs: { results: { locations: unknown[] }[] }[] };
    expect(runs[0]?.results[0]?.locations).toEqual([
      {
        physicalLocation: { artifactLocation: { uri: relative(process.cwd(), join(context, 'Dockerfile')) } },
      },
    ]);
  });

  test('I-3: a build shows what `error=true` refuses', async () => {
    const context = contextOf('# check=error=true\nFROM scratch\nLABEL a b\nMAINTAINER x\n');
    const { status, stderr } = await ask(['build', '--progress=plain', context]);
    expect(status).toBe(1);
    expect(stderr).toContain(
      'error[CHECK_FAILED]: build checks found something: LegacyKeyValueFormat, MaintainerDeprecated',
    );
    expect(stderr).toContain(' - MaintainerDeprecated: MAINTAINER is deprecated (line 4)');
  });

  test.each(['plain', 'rawjson', 'quiet', 'none'])(
    'U-13: findings end a build that went well: %s',
    async (mode) => {
      const context = contextOf('FROM scratch\nLABEL a b\n');
      const argv = ['build', `--progress=${mode}`, '-o', 'type=cacheonly', context];
      const { status, stderr } = await ask(argv);
      expect(status).toBe(0);
      const list = ' 1 warning found (use --debug to expand):\n - LegacyKeyValueFormat: ';
      expect(stderr.includes(list)).toBe(mode === 'plain');
      expect(stderr.includes('"warnings":')).toBe(mode === 'rawjson');
    },
  );

  test('I-3: `error=true` and BUILDKIT_DOCKERFILE_CHECK', async () => {
    expect((await ask(['check', contextOf(text.replace('skip=', 'error=true;skip='))])).stdout).toContain(
      'Check complete, 3 warnings found.',
    );
    const skipping = ['--build-arg', 'BUILDKIT_DOCKERFILE_CHECK=skip=all'];
    expect((await ask(['check', ...skipping, contextOf(text)])).status).toBe(0);
  });
});
