import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkRules } from '../../src/frontend/checks/rules.ts';
import type { LowerOptions } from '../../src/frontend/lower.ts';
import { parseDockerfile } from '../../src/frontend/parse.ts';
import * as library from '../../src/index.ts';
import type { CheckResult } from '../../src/index.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { runCli } from '../cli/fake-context.ts';
import { expectGolden } from '../support/golden.ts';
import { projectRoot } from '../support/paths.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { place } from './dump.ts';
import { lowerText } from './lowered.ts';
import type { CheckCase } from './check-cases.ts';
import { checkCases } from './check-cases.ts';

let work: TempFolder;
beforeAll(async () => {
  work = await tempFolder('checks');
  // Two bases that the store has: their config is known.
  const root = join(work.path, 'store');
  mkdirSync(join(work.path, 'empty'));
  const base = (tag: string, text: string): Promise<unknown> => {
    writeFileSync(join(work.path, 'empty/Dockerfile'), text);
    return library.build({
      root,
      env: {},
      context: join(work.path, 'empty'),
      tags: [tag],
      platform: 'linux/amd64',
    });
  };
  await base('known', 'FROM scratch\nENV KNOWN=1\n');
  await base('shelled', 'FROM scratch\nSHELL ["/bin/bash", "-c"]\n');
});
afterAll(() => work[Symbol.asyncDispose]());

let number = 0;
function contextOf(text: string, ignore?: string): string {
  const context = join(work.path, `context-${(number += 1)}`);
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), text);
  if (ignore !== undefined) writeFileSync(join(context, '.dockerignore'), ignore);
  return context;
}

function checked(
  text: string,
  { ignore, fix = false }: { ignore?: string | undefined; fix?: boolean } = {},
): Promise<CheckResult> {
  const context = contextOf(text, ignore);
  return library.check({ root: join(work.path, 'store'), env: {}, context, platform: 'linux/amd64', fix });
}

const line = ({ rule, message, source, hint }: library.Diagnostic): string =>
  `${rule} ${source === undefined ? '-' : place(source.range)} ${message}${hint === undefined ? '' : ` | ${hint}`}\n`;

const indent = (text: string): string => text.replace(/^/gm, '    ').replace(/ +$/gm, '');

/** One rule as golden/checks has it: where it fires, and what --fix makes of it; where it does not; how it is switched off. */
async function report(rule: string, { fires, quiet, ignore }: CheckCase): Promise<string> {
  const only = (result: CheckResult): readonly library.Diagnostic[] =>
    result.findings.filter((item) => item.rule === rule);
  let out = '';
  for (const text of fires) {
    const found = only(await checked(text, { ignore }));
    expect(found.length, text).toBeGreaterThan(0);
    const { fixed } = await checked(text, { ignore, fix: true });
    const changed = fixed?.findings.some((item) => item.rule === rule) === true;
    out += `fires\n${indent(text)}\n${found.map(line).join('')}${changed ? `fixed\n${indent(fixed?.text ?? '')}\n` : 'not fixed\n'}\n`;
    // Above the file, or above each of its lines, for this rule or for all.
    const [head = '', ...rest] = text.split('\n');
    const directives = /^# (?:escape|check)/.test(head) ? [head] : [];
    const body = directives.length > 0 ? rest.join('\n') : text;
    if (!head.startsWith('# check')) {
      // An experimental rule that is asked for is not among `all`.
      const all = text.includes('experimental=') ? [] : ['skip=all'];
      for (const option of [`skip=${rule}`, `skip=${rule.toLowerCase()}`, ...all]) {
        const skipping = [...directives, `# check=${option}`, body].join('\n');
        expect(only(await checked(skipping, { ignore })), skipping).toEqual([]);
      }
    }
  }
  for (const text of quiet) {
    expect(only(await checked(text, { ignore })), text).toEqual([]);
    out += `quiet\n${indent(text)}\n\n`;
  }
  return out;
}

describe('each rule fires, keeps quiet, can be skipped, and is fixed where that changes nothing else', () => {
  test.each(Object.entries(checkCases))('%s', async (rule, cases) => {
    expectGolden(`checks/${rule}.txt`, await report(rule, cases));
  });

  test('every rule has its cases, and is data', async () => {
    const rules = await library.listChecks();
    expect(rules.map(({ name }) => name)).toEqual(Object.keys(checkCases));
    expect(Object.values(checkCases).map(({ row }) => row)).toEqual(
      rules.map((_, index) => `CK-${index + 1}`),
    );
    for (const { name, url, description } of rules) {
      expect(description.length).toBeGreaterThan(20);
      if (name !== 'InvalidBaseImagePlatform')
        expect(url).toMatch(/^https:\/\/docs\.docker\.com\/go\/dockerfile\/rule\/[a-z-]+\/$/);
    }
  });
});

// One test a row, so that each row of the table has one that names it.
async function rowHolds(row: string): Promise<void> {
  const found = Object.entries(checkCases).find(([, item]) => item.row === row);
  if (found === undefined) throw new Error(`no case of ${row}`);
  expectGolden(`checks/${found[0]}.txt`, await report(...found));
}
test('CK-1: StageNameCasing', () => rowHolds('CK-1'));
test('CK-2: FromAsCasing', () => rowHolds('CK-2'));
test('CK-3: NoEmptyContinuation', () => rowHolds('CK-3'));
test('CK-4: ConsistentInstructionCasing', () => rowHolds('CK-4'));
test('CK-5: DuplicateStageName', () => rowHolds('CK-5'));
test('CK-6: ReservedStageName', () => rowHolds('CK-6'));
test('CK-7: JSONArgsRecommended', () => rowHolds('CK-7'));
test('CK-8: MaintainerDeprecated', () => rowHolds('CK-8'));
test('CK-9: UndefinedArgInFrom', () => rowHolds('CK-9'));
test('CK-10: WorkdirRelativePath', () => rowHolds('CK-10'));
test('CK-11: UndefinedVar', () => rowHolds('CK-11'));
test('CK-12: MultipleInstructionsDisallowed', () => rowHolds('CK-12'));
test('CK-13: LegacyKeyValueFormat', () => rowHolds('CK-13'));
test('CK-14: InvalidBaseImagePlatform', () => rowHolds('CK-14'));
test('CK-15: RedundantTargetPlatform', () => rowHolds('CK-15'));
test('CK-16: SecretsUsedInArgOrEnv', () => rowHolds('CK-16'));
test('CK-17: InvalidDefaultArgInFrom', () => rowHolds('CK-17'));
test('CK-18: FromPlatformFlagConstDisallowed', () => rowHolds('CK-18'));
test('CK-19: CopyIgnoredFile', () => rowHolds('CK-19'));
test('CK-20: InvalidDefinitionDescription', () => rowHolds('CK-20'));
test('CK-21: ExposeProtoCasing', () => rowHolds('CK-21'));
test('CK-22: ExposeInvalidFormat', () => rowHolds('CK-22'));

describe('CK-19: the ignore file', () => {
  const rules = async (text: string, ignore: string): Promise<readonly string[]> =>
    (await checked(text, { ignore })).findings.map(({ rule }) => rule);

  test('CK-19: a line that takes something back silences the rule', async () => {
    expect(await rules('FROM scratch\nCOPY a.log /\n', '*.log\n!b.log\n')).toEqual([]);
  });

  test('CK-19: the whole context counts only when all of it is excluded', async () => {
    for (const source of ['.', '/', './'])
      expect(await rules(`FROM scratch\nCOPY ${source} /x/\n`, '*\n'), source).toEqual(['CopyIgnoredFile']);
    expect(await rules('FROM scratch\nCOPY . /x/\n', '*.log\n')).toEqual([]);
  });
});

describe('I-3: the checks as a command', () => {
  const ask = (argv: readonly string[], input?: string): ReturnType<typeof runCli> =>
    runCli(['--root', join(work.path, 'store'), ...argv], {
      library,
      ...(input === undefined ? {} : { input }),
    });

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
    expect((await ask(['check', context])).stdout).toBe('Check complete, no warnings found.\n');
  });

  test('I-3: `error=true` and BUILDKIT_DOCKERFILE_CHECK', async () => {
    expect((await ask(['check', contextOf(text.replace('skip=', 'error=true;skip='))])).stdout).toContain(
      'Check complete, 3 warnings found.',
    );
    const skipping = ['--build-arg', 'BUILDKIT_DOCKERFILE_CHECK=skip=all'];
    expect((await ask(['check', ...skipping, contextOf(text)])).status).toBe(0);
  });
});

describe('check --fix', () => {
  const ask = (argv: readonly string[], input?: string): ReturnType<typeof runCli> =>
    runCli(['check', '--root', join(work.path, 'store'), '--fix', ...argv], {
      library,
      ...(input === undefined ? {} : { input }),
    });

  test('changes the Dockerfile in place, keeps its other bytes, and tells what is left', async () => {
    const context = contextOf(
      '\uFEFF# syntax=docker/dockerfile:1\r\nFROM scratch as  One\r\n\r\n# kept  \r\nlabel a  b c\r\nMAINTAINER x',
    );
    const { status, stdout } = await ask([context]);
    expect(readFileSync(join(context, 'Dockerfile'), 'utf8')).toBe(
      '\uFEFF# syntax=docker/dockerfile:1\r\nFROM scratch AS  one\r\n\r\n# kept  \r\nLABEL a="b c"\r\nMAINTAINER x',
    );
    expect(status).toBe(1);
    expect(stdout).toContain('fixed LegacyKeyValueFormat');
    expect(stdout).toContain('Check complete, 1 warning found.');
    expect(readdirSync(context)).toEqual(['Dockerfile']);
  });

  test('a file from stdin goes to stdout', async () => {
    const result = await ask(['-f', '-', contextOf('FROM scratch\n')], 'from scratch AS x\n');
    expect(result).toMatchObject({ status: 0, stdout: 'from scratch as x\n' });
    expect(result.stderr).toContain('no warnings found');
  });

  test('a file that is missing is told like by a build; one from elsewhere has no place to go back to', async () => {
    const context = contextOf('FROM scratch\n');
    const missing = await ask(['-f', join(context, 'Dokcerfile'), context]);
    expect(missing.stderr).toMatch(/DOCKERFILE_NOT_FOUND[^]*there is `.*\/Dockerfile`/);
    expect((await ask(['-'], 'FROM scratch\n')).stderr).toContain('only a Dockerfile of this machine');
  });

  test('a faulty file stays as it is', async () => {
    const context = contextOf('FROM scratch as x\nRNU\n');
    const { status, stdout } = await ask([context]);
    expect(status).toBe(1);
    expect(stdout).toContain('Nothing was fixed: correct the errors first.');
    expect(readFileSync(join(context, 'Dockerfile'), 'utf8')).toBe('FROM scratch as x\nRNU\n');
  });

  const options: Partial<LowerOptions> = {
    resolveImage: (reference, platform) =>
      Promise.resolve({
        reference,
        digest: `sha256:${'0'.repeat(64)}`,
        platform,
        config: {
          os: 'linux',
          architecture: 'amd64',
          rootfs: { type: 'layers', diff_ids: [] },
          config: { Cmd: ['base'] },
        },
      }),
  };

  /** What a build makes of a text, without history, which shows the text itself; the faults of one that cannot be built. */
  async function outcome(text: string): Promise<unknown> {
    const file = parseDockerfile({ name: 'Dockerfile', text });
    const results = [];
    for (const { index } of file.stages.length === 0 ? [{ index: 0 }] : file.stages) {
      try {
        const { definition, images } = await lowerText(text, {
          ...options,
          target: String(index),
          buildArgs: { BUILDKIT_DOCKERFILE_CHECK: 'skip=all' },
        });
        results.push([
          definition.target,
          definition.vertices.map(({ digest }) => digest),
          images.map(({ config }) => config),
        ]);
      } catch (error) {
        if (!(error instanceof BuildError)) throw error;
        results.push(error.code);
      }
    }
    return results;
  }

  async function fixLaw(text: string): Promise<void> {
    const first = await checked(text, { fix: true });
    const once = first.fixed?.text ?? text;
    const again = await checked(once, { fix: true });
    expect(again.fixed, once).toBeUndefined();
    expect(await outcome(once), once).toEqual(await outcome(text));
    expect(again.errors.map(({ code }) => code)).toEqual(first.errors.map(({ code }) => code));
    const before = await checked(text);
    expect(again.findings.length).toBeLessThanOrEqual(before.findings.length);
  }

  const pieces = [
    'FROM scratch as X',
    'from scratch AS y',
    'From x AS Z',
    'FROM --platform=$TARGETPLATFORM alpine',
    'FROM --platform=$TARGETPLATFORM \\\n alpine as q',
    'CMD a',
    'cmd ["b"]',
    'ENTRYPOINT ["c"]',
    'ENTRYPOINT d',
    'HEALTHCHECK NONE',
    'HEALTHCHECK CMD x \\\n\n y',
    '# about',
    '# check=skip=MultipleInstructionsDisallowed',
    'ENV a b  c',
    'env k "q r" \'s t\' $a',
    'LABEL l m\\ n o',
    'LABEL x=1 \\\n\n  # in\n\n y=2',
    'ENV v \\\n w',
    'ENV bs \\$x y',
    'ENV tab a\tb',
    'EXPOSE 80/TCP 127.0.0.1:1:2/UDP',
    'expose 8080:80',
    'EXPOSE $P/TCP',
    'ARG P=1',
    'MAINTAINER m',
    'RUN <<E\nCMD x\n\nE',
    'Run x',
    'WORKDIR w',
    'SHELL ["s"]',
    'ONBUILD CMD x',
    '',
  ];

  test('a second time changes nothing, and the graph and the config stay what they were', async () => {
    const file = fc.tuple(
      fc.constantFrom('', '# escape=`\n', '# check=error=true\n', '\uFEFF'),
      fc.array(fc.constantFrom(...pieces), { maxLength: 9 }),
      fc.constantFrom('\n', '\r\n'),
      fc.boolean(),
    );
    await fc.assert(
      fc.asyncProperty(file, async ([head, lines, end, last]) => {
        await fixLaw(`${head}FROM alpine\n${lines.join('\n')}${last ? '\n' : ''}`.replaceAll('\n', end));
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  const golden = join(projectRoot, 'golden');
  const files = ['parse', 'frontend', 'well-known'].flatMap((folder) =>
    readdirSync(join(golden, folder), { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [`${folder}/${entry.name}`] : [],
    ),
  );
  test.each(files)('holds for %s', (name) => fixLaw(readFileSync(join(golden, name, 'Dockerfile'), 'utf8')));
});
