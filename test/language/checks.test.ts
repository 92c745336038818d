import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseDockerfile } from '../../src/frontend/parse.ts';
import * as library from '../../src/index.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { CheckResult, Diagnostic } from '../../src/index.ts';
import { expectGolden } from '../support/golden.ts';
import { startHttpServer } from '../support/http-server.ts';
import type { CheckCase } from './check-cases.ts';
import { checkCases } from './check-cases.ts';
import type { CheckStore } from './check-store.ts';
import { checkStore, findingLine } from './check-store.ts';
import { lowerText } from './lowered.ts';

let store: CheckStore;
beforeAll(async () => {
  store = await checkStore();
});
afterAll(() => store[Symbol.asyncDispose]());

const indent = (text: string): string => text.replace(/^/gm, '    ').replace(/ +$/gm, '');

/** A comment above each instruction; above the first behind an empty line, as it would be a directive else. */
function withComments(text: string, comment: string): string {
  const { instructions } = parseDockerfile({ name: 'Dockerfile', text });
  const first = instructions[0]?.range.start.line;
  const starts = new Set(instructions.map(({ range }) => range.start.line));
  return text
    .split('\n')
    .map((line, index) =>
      starts.has(index + 1) ? `${index + 1 === first ? '\n' : ''}${comment}\n${line}` : line,
    )
    .join('\n');
}

/** One rule as golden/checks has it: where it fires, and what --fix makes of it; where it does not; how it is switched off. */
async function report(rule: string, { fires, quiet, ignore }: CheckCase): Promise<string> {
  const only = (result: CheckResult): readonly Diagnostic[] =>
    result.findings.filter((item) => item.rule === rule);
  let out = '';
  for (const text of fires) {
    const found = only(await store.check(text, { ignore }));
    expect(found.length, text).toBeGreaterThan(0);
    const { fixed, source } = await store.check(text, { ignore, fix: true });
    const changed = fixed?.findings.some((item) => item.rule === rule) === true;
    out += `fires\n${indent(text)}\n${found.map(findingLine).join('')}${changed ? `fixed\n${indent(source.text)}\n` : 'not fixed\n'}\n`;
    // An experimental rule that is asked for is not among `all`.
    const isAsked = text.includes('experimental=');
    const [head = '', ...rest] = text.split('\n');
    const directives = head.startsWith('# escape') ? [head] : [];
    const body = directives.length > 0 ? rest.join('\n') : text;
    const skipping = (option: string): readonly string[] => [
      ...(isAsked ? [] : [[...directives, `# check=${option}`, body].join('\n')]),
      withComments(text, `# check=${option}`),
    ];
    for (const option of [`skip=${rule}`, `skip=${rule.toLowerCase()}`, ...(isAsked ? [] : ['skip=all'])]) {
      for (const skipped of skipping(option))
        expect(only(await store.check(skipped, { ignore })), skipped).toEqual([]);
    }
    for (const kept of isAsked ? [] : skipping('skip=NoSuchRule'))
      expect(only(await store.check(kept, { ignore })).length, kept).toBe(found.length);
  }
  for (const text of quiet) {
    expect(only(await store.check(text, { ignore })), text).toEqual([]);
    out += `quiet\n${indent(text)}\n\n`;
  }
  return out;
}

// One test a row, so that each row of the table has one that names it.
async function rowHolds(row: string): Promise<void> {
  const found = Object.entries(checkCases).find(([, item]) => item.row === row);
  if (found === undefined) throw new Error(`no case of ${row}`);
  expectGolden(`checks/${found[0]}.txt`, await report(...found));
}

describe('each rule fires, keeps quiet, can be skipped, and is fixed where that changes nothing else', () => {
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

  test('every rule has its cases, and is data', async () => {
    const rules = await library.listChecks();
    expect(rules.map(({ name }) => name)).toEqual(Object.keys(checkCases));
    expect(Object.values(checkCases).map(({ row }) => row)).toEqual(
      rules.map((_, index) => `CK-${index + 1}`),
    );
    for (const { name, url, description } of rules) {
      expect(description.length).toBeGreaterThan(20);
      if (name === 'InvalidBaseImagePlatform') expect(url).toBeUndefined();
      else expect(url).toMatch(/^https:\/\/docs\.docker\.com\/go\/dockerfile\/rule\/[a-z-]+\/$/);
    }
  });
});

/** What an in-memory registry has: a manifest by tag and digest, and its config. */
function registryWith(config: object): {
  readonly blobs: ReadonlyMap<string, string>;
  readonly tag: string;
} {
  const text = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [] },
    ...config,
  });
  const descriptor = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: digestOf(text),
    size: text.length,
  };
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor,
    layers: [],
  });
  const tag = '1';
  return {
    tag,
    blobs: new Map([
      [descriptor.digest, text],
      [digestOf(manifest), manifest],
      [tag, manifest],
    ]),
  };
}

describe('what rules look at', () => {
  const rules = async (text: string, ignore: string): Promise<readonly string[]> =>
    (await store.check(text, { ignore })).findings.map(({ rule }) => rule);

  test('CK-19: a line that takes something back silences the rule', async () => {
    expect(await rules('FROM scratch\nCOPY a.log /\n', '*.log\n!b.log\n')).toEqual([]);
  });

  test('CK-19: the whole context counts only when all of it is excluded', async () => {
    for (const source of ['.', '/', './'])
      expect(await rules(`FROM scratch\nCOPY ${source} /x/\n`, '*\n'), source).toEqual(['CopyIgnoredFile']);
    expect(await rules('FROM scratch\nCOPY . /x/\n', '*.log\n')).toEqual([]);
  });

  test('CK-10 CK-12 CK-13 CK-16 CK-21 CK-22: a build looks at the stages that it needs, and at names and FROM of all', async () => {
    const other = [
      ...['FROM scratch as Other', 'WORKDIR a', 'CMD ["a"]', 'CMD ["b"]', 'ENV a b', 'ENV TOKEN=1'],
      ...['EXPOSE 1/TCP 1:2', 'LABEL a=$no', 'MAINTAINER m'],
    ].join('\n');
    const file = `${other}\nFROM scratch\n`;
    const named = ['FromAsCasing', 'MaintainerDeprecated', 'StageNameCasing'];
    const told = async (target?: string): Promise<readonly string[]> => {
      const { diagnostics } = await lowerText(file, { target });
      return [...new Set(diagnostics.map(({ rule }) => rule))].toSorted();
    };
    expect(await told()).toEqual(named);
    expect(await told('other')).toEqual([
      'ExposeInvalidFormat',
      'ExposeProtoCasing',
      'FromAsCasing',
      'LegacyKeyValueFormat',
      'MaintainerDeprecated',
      'MultipleInstructionsDisallowed',
      'SecretsUsedInArgOrEnv',
      'StageNameCasing',
      'UndefinedVar',
      'WorkdirRelativePath',
    ]);
    // A build context in place of the stage: its instructions are not built.
    const replaced = { target: 'other', namedContexts: { other: { kind: 'tree' } as const } };
    const { diagnostics } = await lowerText(file, replaced);
    expect(diagnostics.map(({ rule }) => rule).toSorted()).toEqual(named);
  });

  test('CK-14: counts for `error=true` like all others, and has no page', async () => {
    const text = '# check=error=true\nARG P=linux/arm64\nFROM --platform=$P base\n';
    const setup = { bases: { 'docker.io/library/base:latest': { architecture: 'amd64' } } };
    await expect(lowerText(text, setup)).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: 'build checks found something: InvalidBaseImagePlatform',
      hint: 'the file says `error=true`',
    });
    const { diagnostics } = await lowerText(text.replace('true', 'false'), setup);
    expect(diagnostics).toMatchObject([{ rule: 'InvalidBaseImagePlatform' }]);
    expect(diagnostics[0]).not.toHaveProperty('url');
    const buildArgs = { BUILDKIT_DOCKERFILE_CHECK: 'error=true' };
    await expect(lowerText(text.replace('true', 'false'), { ...setup, buildArgs })).rejects.toMatchObject({
      hint: '--build-arg BUILDKIT_DOCKERFILE_CHECK says `error=true`',
    });
  });

  test('CK-11: triggers of a base are looked at, and told in their own text behind those of the file', async () => {
    const { findings, source } = await store.check('FROM triggering\nLABEL x=$y\n', { fix: true });
    expect(findings.map((item) => `${item.source?.source.name} ${findingLine(item).trim()}`)).toEqual([
      'Dockerfile UndefinedVar 2:9-2:11 `$y` is not set by any ARG or ENV',
      'ONBUILD of docker.io/library/triggering:latest UndefinedVar 1:9-1:11 `$b` is not set by any ARG or ENV',
      'ONBUILD of docker.io/library/triggering:latest UndefinedVar 1:9-1:11 `$d` is not set by any ARG or ENV',
    ]);
    expect(source.text).toBe('FROM triggering\nLABEL x=$y\n');
  });

  test('CK-11: a base is known of a layout, or from what a registry said before', async () => {
    const { blobs, tag } = registryWith({ config: { Env: ['FAR=1'] } });
    let base = '';
    {
      await using server = await startHttpServer((request, response) => {
        const found = blobs.get(request.url?.split('/').at(-1) ?? '');
        response.writeHead(request.url === '/v2/' || found !== undefined ? 200 : 404, {
          'content-type': 'application/vnd.oci.image.manifest.v1+json',
        });
        response.end(request.method === 'HEAD' ? '' : found);
      });
      base = `${server.host}/far:${tag}`;
      const context = store.contextOf(`FROM ${base}\nLABEL a=1\n`);
      const built = await library.build({
        ...{ root: store.root, env: {}, context, platform: 'linux/amd64' },
        outputs: [{ type: 'cacheonly' }],
      });
      expect(built.diagnostics).toEqual([]);
    }
    const undefinedIn = async (from: string, options = {}): Promise<readonly string[]> => {
      const { findings, unknownBases } = await store.check(`FROM ${from}\nLABEL a=$FAR b=$KNOWN\n`, options);
      return [...findings.map(({ message }) => /\$(\w+)/.exec(message)?.[1] ?? ''), ...unknownBases];
    };
    expect(await undefinedIn(base)).toEqual(['KNOWN']);
    expect(await undefinedIn('known')).toEqual(['FAR']);
    expect(await undefinedIn('127.0.0.1:1/none')).toEqual(['127.0.0.1:1/none:latest']);
    const [known] = (await library.listImages({ root: store.root })).filter(({ name }) =>
      name?.includes('known'),
    );
    const layout = `oci-layout://${store.root}@${known?.digest}`;
    expect(await undefinedIn('far', { buildContexts: { far: layout } })).toEqual(['FAR']);
    const absent = `oci-layout://${store.root}@${digestOf('')}`;
    expect(await undefinedIn('far', { buildContexts: { far: absent } })).toEqual([absent]);
  });
});
