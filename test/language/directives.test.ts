import { describe, expect, test } from 'vitest';
import type { ParsedDockerfile } from '../../src/frontend/parse.ts';
import { parseDockerfile } from '../../src/frontend/parse.ts';
import { faultLine } from './dump.ts';
import { faultsOf, imageOf, lowerText } from './lowered.ts';

const parse = (text: string): ParsedDockerfile => parseDockerfile({ name: 'Dockerfile', text });
const rules = async (text: string): Promise<readonly string[]> => (await imageOf(text)).warnings;

describe('parser directives', () => {
  test('L-DIR-1: Docker’s own frontend is what tsbuild is; another one is told', async () => {
    const own = [
      'docker/dockerfile:1',
      'docker/dockerfile:1.7-labs',
      'docker.io/docker/dockerfile:1.4',
      'docker/dockerfile',
      'docker/dockerfile:1@sha256:0',
      'docker/dockerfile-upstream:master',
      'dockerfile.v0',
      'docker/dockerfile:1 // the one that all have',
    ];
    for (const name of own) expect(await rules(`# syntax=${name}\nFROM scratch\n`), name).toEqual([]);
    for (const name of ['someone/else', 'docker/dockerfile:2', 'evil/docker/dockerfile:1'])
      expect(await rules(`# syntax=${name}\nFROM scratch\n`), name).toEqual(['SyntaxIgnored']);
  });

  test('L-DIR-1: BUILDKIT_SYNTAX overrides it; a build context that would replace the frontend is told', async () => {
    const text = '# syntax=someone/else\nFROM scratch\n';
    expect((await imageOf(text, { buildArgs: { BUILDKIT_SYNTAX: 'dockerfile.v0' } })).warnings).toEqual([]);
    const { diagnostics } = await lowerText(text, { buildArgs: { BUILDKIT_SYNTAX: 'other/frontend' } });
    expect(diagnostics).toMatchObject([
      { rule: 'SyntaxIgnored', message: expect.stringContaining('`other/frontend`') },
    ]);
    expect(diagnostics[0]).not.toHaveProperty('source');
    const namedContexts = { 'docker/dockerfile:1': { kind: 'image', reference: 'my/frontend' } } as const;
    expect(
      (await imageOf('# syntax=docker/dockerfile:1\nFROM scratch\n', { namedContexts })).warnings,
    ).toEqual(['SyntaxIgnored']);
  });

  test.each([
    '// syntax=someone/else:1\nanything\n',
    '\n//syntax = someone/else:1\n',
    '#!/usr/bin/env x\n// check=skip=all\n// Syntax=someone/else:1 a remark\n',
    '\uFEFF#!x\n{"syntax": "someone/else:1"}',
    '{"syntax": "someone/else:1", "x": [1]}',
  ])('L-DIR-1: a file for another frontend is no Dockerfile: %j', (text) => {
    const [error, ...more] = parse(text).errors;
    expect(more).toEqual([]);
    expect(error).toMatchObject({
      code: 'UNSUPPORTED_HERE',
      message: 'the file is for the frontend `someone/else:1`',
    });
    const { start } = error?.source?.range ?? { start: { line: 0, column: 0 } };
    expect(text.split('\n')[start.line - 1]?.slice(start.column - 1)).toMatch(/^someone\/else:1/);
  });

  test('L-DIR-1: what stands further down selects nothing', () => {
    for (const text of ['// a\n// syntax=x\n', 'FROM a\n// syntax=x\n', '[{"syntax": "x"}]', '{"syntax": 1}'])
      expect(parse(text).errors[0]?.code, text).toBe('DOCKERFILE_UNKNOWN_INSTRUCTION');
  });

  test('L-DIR-1: one for Docker’s own is read as a Dockerfile', () => {
    expect(parse('// syntax=docker/dockerfile:1\nFROM a\n').errors.map(faultLine)).toEqual([
      expect.stringContaining('unknown instruction `//`'),
    ]);
  });

  test('L-DIR-2: the escape is a backslash or a backtick, for continuing and for escaping', async () => {
    const text = 'FROM scratch\nENV A=`$x B=\\$x C=c:\\d `\n D="`"" E=\'`\'\n';
    expect((await imageOf(`# escape=\`\n${text}`)).config.Env?.slice(1)).toEqual([
      'A=$x',
      'B=\\',
      'C=c:\\d',
      'D="',
      'E=`',
    ]);
    expect(await faultsOf('# escape=x\nFROM scratch\n')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 1:10 `x` cannot be the escape character | use `\\` or a backtick',
    ]);
  });

  test('L-DIR-2: in RUN it matters at the end of a line alone', () => {
    const [, run] = parse('# escape=`\nFROM a\nRUN a `$b \\c `\n d\n').instructions;
    expect(run).toMatchObject({ command: { text: 'a `$b \\c  d' } });
  });

  const bad = 'FROM scratch AS Upper\nMAINTAINER x\n';

  test('L-DIR-3: check skips rules, by name in any case, or all', async () => {
    expect(await rules(bad)).toEqual(['StageNameCasing', 'MaintainerDeprecated']);
    expect(await rules(`# check=skip=StageNameCasing\n${bad}`)).toEqual(['MaintainerDeprecated']);
    expect(await rules(`# check = skip=stagenamecasing,MAINTAINERdeprecated\n${bad}`)).toEqual([]);
    expect(await rules(`# check=skip=all\n${bad}`)).toEqual([]);
  });

  test('L-DIR-3: several options, in any order', async () => {
    const described = `# nothing like it\nARG A\n${bad}`;
    expect(
      await rules(`# check=experimental=InvalidDefinitionDescription;skip=StageNameCasing\n\n${described}`),
    ).toEqual(['InvalidDefinitionDescription', 'MaintainerDeprecated']);
    expect(
      await rules(
        `# check=experimental=all;skip=StageNameCasing,MaintainerDeprecated;error=false\n\n${described}`,
      ),
    ).toEqual(['InvalidDefinitionDescription']);
    expect(await rules(described)).toEqual(['StageNameCasing', 'MaintainerDeprecated']);
  });

  test('L-DIR-3: with error=true a finding ends the build', async () => {
    expect(await faultsOf(`# check=error=true\n${bad}`)).toEqual([
      expect.stringMatching(/^CHECK_FAILED 2:17 .*MaintainerDeprecated, StageNameCasing/),
    ]);
    expect(await rules(`# check=error=true;skip=all\n${bad}`)).toEqual([]);
    expect(await rules('# check=error=true\nFROM scratch\n')).toEqual([]);
  });

  test('L-DIR-3: `all` skips no experimental rule that is asked for; what stands behind a blank is a remark', async () => {
    const text = `# nothing like it\nARG A\n${bad}`;
    expect(await rules(`# check=skip=all;experimental=all\n\n${text}`)).toEqual([
      'InvalidDefinitionDescription',
    ]);
    expect(await rules(`# check=skip=StageNameCasing // as it was, MaintainerDeprecated\n${bad}`)).toEqual([
      'MaintainerDeprecated',
    ]);
  });

  test('L-DIR-3: what is no option is refused', async () => {
    for (const [text, fault] of [
      ['skp=all', '`skp=all` is no option of a check | did you mean `skip`?'],
      ['all', '`all` is no option of a check | write skip=<rules>;error=true;experimental=<rules>'],
      ['skip=all;', '`` is no option of a check | write skip=<rules>;error=true;experimental=<rules>'],
      ['error=yes', '`error` is either true or false, not `yes` | write error=true'],
    ] as const) {
      expect(await faultsOf(`# check=${text}\n${bad}`)).toEqual([`DOCKERFILE_BAD_ARGUMENT 1:9 ${fault}`]);
      const buildArgs = { BUILDKIT_DOCKERFILE_CHECK: text };
      await expect(imageOf(bad, { buildArgs })).rejects.toMatchObject({
        code: 'USAGE',
        message: `BUILDKIT_DOCKERFILE_CHECK: ${fault.replace(/ \|.*/, '')}`,
      });
    }
    for (const text of ['error=1', 'error=T', 'ERROR=True'])
      expect(await faultsOf(`# check=${text}\n${bad}`), text).toEqual([
        expect.stringContaining('CHECK_FAILED'),
      ]);
  });

  test('L-DIR-3: BUILDKIT_DOCKERFILE_CHECK replaces it', async () => {
    const buildArgs = { BUILDKIT_DOCKERFILE_CHECK: 'skip=MaintainerDeprecated' };
    expect((await imageOf(`# check=skip=all;error=true\n${bad}`, { buildArgs })).warnings).toEqual([
      'StageNameCasing',
    ]);
    expect(await faultsOf(bad, { buildArgs: { BUILDKIT_DOCKERFILE_CHECK: 'error=true' } })).toHaveLength(1);
  });

  test('L-DIR-4: a check comment above an instruction is for that instruction', async () => {
    expect(await rules('FROM scratch\n# check=skip=MaintainerDeprecated\nMAINTAINER x\n')).toEqual([]);
    expect(await rules('FROM scratch\n# check=skip=MaintainerDeprecated\nLABEL a=1\nMAINTAINER x\n')).toEqual(
      ['MaintainerDeprecated'],
    );
    expect(
      await rules('ARG A=1\n# what it is\n# check=skip=all\nFROM scratch AS Upper\nMAINTAINER x\n'),
    ).toEqual(['MaintainerDeprecated']);
    expect(
      await rules(
        'ARG A\n# check=experimental=all;skip=all a remark\n# nothing like it\nARG B\n# nor this\nARG C\nFROM scratch\n',
      ),
    ).toEqual(['InvalidDefinitionDescription']);
    // Only the directive at the top can make an error of findings.
    expect(await rules('FROM scratch\n# check=error=true\nMAINTAINER x\n')).toEqual(['MaintainerDeprecated']);
  });

  test('L-DIR-5: the first line that is no directive ends them', () => {
    const escapes = (head: string): string => parse(`${head}# escape=\`\nFROM a\n`).directives.escape;
    expect(escapes('')).toBe('`');
    expect(escapes('# syntax=docker/dockerfile:1\n#  CHECK =skip=all\n')).toBe('`');
    for (const head of ['\n', '# comment\n', '# unknown=1\n', '#\n', 'FROM b\n', '# escape\n', '# check=\n'])
      expect(escapes(head), JSON.stringify(head)).toBe('\\');
  });

  test('L-DIR-5: each stands once; blanks do not count, and the value’s case does', () => {
    expect(parse('# escape=`\n# Escape=\\\nFROM a\n').errors.map(faultLine)).toEqual([
      'DOCKERFILE_SYNTAX 2:10-2:11 the directive `escape` stands twice; only one is allowed',
    ]);
    expect(parse('#\tSYNTAX\t=  Docker/X  \nFROM a\n').directives.syntax?.text).toBe('Docker/X');
  });
});
