import { describe, expect, test } from 'vitest';
import type { ExecOp } from '../../src/graph/op.ts';
import { imageOf, lowerText } from './lowered.ts';
import type { LowerSetup } from './lowered.ts';

const bases = {
  'docker.io/library/base:latest': { config: { Env: ['PATH=/bin', 'FROM_BASE=b'] } },
  'docker.io/library/bare:latest': {},
};

/** The RUN steps of a Dockerfile, in order of the graph. */
async function runs(text: string, setup: LowerSetup = {}): Promise<readonly ExecOp[]> {
  const { definition } = await lowerText(text, { bases, ...setup });
  return definition.vertices.flatMap(({ op }) => (op.kind === 'exec' ? [op] : []));
}

/** What the last RUN of a Dockerfile sees, without PATH. */
async function seen(text: string, setup: LowerSetup = {}): Promise<readonly string[]> {
  const env = (await runs(text, setup)).at(-1)?.env ?? [];
  return env.filter((pair) => !pair.startsWith('PATH='));
}

async function labels(text: string, setup: LowerSetup = {}): Promise<Readonly<Record<string, string>>> {
  return (await imageOf(text, { bases, ...setup })).config.Labels ?? {};
}

describe('ARG before FROM', () => {
  test('L-ARG-1: several a line, with and without defaults, seen by FROM', async () => {
    const asked: string[] = [];
    const text = 'ARG NAME=ba OTHER="se" UNSET\nARG ALL=$NAME$OTHER\nFROM $ALL$UNSET\n';
    await lowerText(text, { bases, asked });
    expect(asked).toEqual(['docker.io/library/base:latest linux/amd64']);
  });

  test('L-ARG-1: a stage sees it only where it declares it again', async () => {
    const text = (more: string): string => `ARG A=global\nFROM base\n${more}LABEL a=\${A-unset}\n`;
    expect(await labels(text(''))).toEqual({ a: 'unset' });
    expect(await labels(text('ARG A\n'))).toEqual({ a: 'global' });
    expect(await labels(text('ARG A=own\n'))).toEqual({ a: 'own' });
  });
});

describe('ARG in a stage', () => {
  const text = 'ARG A=global\nFROM base\nENV E=e\nARG A=default-$E\nARG B\nRUN env\n';

  test('L-ARG-2: --build-arg, then the own default, then the global value', async () => {
    expect(await seen(text, { buildArgs: { A: 'given' } })).toContain('A=given');
    expect(await seen(text)).toContain('A=default-e');
    expect(await seen(text.replace('ARG A=default-$E', 'ARG A'))).toContain('A=global');
    expect(await seen(text, { buildArgs: { A: '' } })).toContain('A=');
  });

  test('L-ARG-2: a name without any value is not in the environment', async () => {
    expect((await seen(text)).some((pair) => pair.startsWith('B='))).toBe(false);
    expect(await labels('FROM base\nARG B\nLABEL b=${B-unset} c=${B+set}\n')).toEqual({ b: 'unset', c: '' });
  });

  test('L-ARG-2: several a line see the values before the line', async () => {
    expect(await labels('FROM base\nARG A=1 B=$A\nLABEL a=$A b=$B\n')).toEqual({ a: '1', b: '' });
  });

  test('L-ARG-3: from its line on', async () => {
    expect(await labels('FROM base\nLABEL before=$A\nARG A=1\nLABEL after=$A\n')).toEqual({
      before: '',
      after: '1',
    });
  });

  test('L-ARG-3: stages on top of this one have it, others do not', async () => {
    const stages =
      'FROM base AS one\nARG A=1\nFROM one AS two\nLABEL two=$A\nFROM base AS three\nLABEL three=$A\n';
    expect(await labels(stages, { target: 'two' })).toEqual({ two: '1' });
    expect(await labels(stages, { target: 'three' })).toEqual({ three: '' });
  });

  test('L-ARG-4: it is in the environment of later RUNs, and so in their keys, but not in the config', async () => {
    const run = 'FROM base\nRUN early\nARG A=1\nRUN late\n';
    const [early, late] = await runs(run);
    expect(early?.env).not.toContain('A=1');
    expect(late?.env).toContain('A=1');
    const digests = async (value: string): Promise<readonly string[]> =>
      (await lowerText(run, { bases, buildArgs: { A: value } })).definition.vertices.map(
        ({ digest }) => digest,
      );
    const [one, two] = [await digests('1'), await digests('2')];
    expect(one.slice(0, 2)).toEqual(two.slice(0, 2));
    expect(one[2]).not.toBe(two[2]);
    expect((await imageOf(run, { bases })).config.Env).toEqual(['PATH=/bin', 'FROM_BASE=b']);
  });

  test('L-ARG-4: history names all ARGs in scope with the values that the step sees', async () => {
    const { history } = await imageOf(
      'FROM base\nARG A=1\nARG B\nENV A=env\nARG C="c d"\nRUN x\nRUN ["y"]\n',
      { bases },
    );
    expect(history.slice(-2)).toEqual([
      '* RUN |3 A=env B= C=c d /bin/sh -c x # buildkit',
      '* RUN |3 A=env B= C=c d y # buildkit',
    ]);
    expect((await imageOf('FROM base\nRUN x\n', { bases })).history).toEqual([
      '* RUN /bin/sh -c x # buildkit',
    ]);
  });
});

describe('ARG and ENV of one name', () => {
  test('L-ARG-5 Z-3: the later one counts for what follows', async () => {
    expect(await seen('FROM base\nENV A=env\nARG A=arg\nRUN x\n')).toContain('A=arg');
    expect(await seen('FROM base\nARG A=arg\nENV A=env\nRUN x\n')).toContain('A=env');
    expect(await seen('FROM base\nARG FROM_BASE=arg\nRUN x\n')).toContain('FROM_BASE=arg');
  });

  test('L-ARG-5 Z-3: an ARG without a value leaves the ENV alone, one from the command line does not', async () => {
    expect(await seen('FROM base\nENV A=env\nARG A\nRUN x\n')).toContain('A=env');
    expect(await seen('FROM base\nENV A=env\nARG A\nRUN x\n', { buildArgs: { A: 'given' } })).toContain(
      'A=given',
    );
  });

  test('L-ARG-5 Z-3: the config keeps what ENV said', async () => {
    const { config } = await imageOf('FROM base\nENV A=env\nARG A=arg\nENV B=$A\n', { bases });
    expect(config.Env).toEqual(['PATH=/bin', 'FROM_BASE=b', 'A=env', 'B=arg']);
  });
});

test('--no-cache-filter with a name that no stage has is told, with the name that is near', async () => {
  const { diagnostics } = await lowerText('FROM base AS build\nFROM base\n', {
    bases,
    noCacheFilter: ['biuld', 'BUILD', '1', 'other'],
  });
  expect(diagnostics.map(({ rule, message, hint }) => [rule, message, hint])).toEqual([
    [
      'UnusedNoCacheFilter',
      'no stage is called `biuld`, which --no-cache-filter names',
      'did you mean `build`?',
    ],
    ['UnusedNoCacheFilter', 'no stage is called `other`, which --no-cache-filter names', undefined],
  ]);
});

describe('--build-arg', () => {
  test('L-ARG-6: one that nothing takes is told, with the name that is near', async () => {
    const { diagnostics } = await lowerText('FROM base\nARG VERSION\n', {
      bases,
      buildArgs: { VERSOIN: '1', other: 'x' },
    });
    expect(diagnostics.map(({ rule, message, hint }) => [rule, message, hint])).toEqual([
      ['UnusedBuildArg', 'no ARG takes the build arg `VERSOIN`', 'did you mean `VERSION`?'],
      ['UnusedBuildArg', 'no ARG takes the build arg `other`', undefined],
    ]);
  });

  test('L-ARG-6: one that another stage takes, and those of the builder, are not told', async () => {
    const { diagnostics } = await lowerText('FROM base AS a\nARG A\nFROM base\n', {
      bases,
      buildArgs: {
        A: '1',
        http_proxy: 'x',
        SOURCE_DATE_EPOCH: '0',
        TARGETOS: 'linux',
        BUILDKIT_INLINE_CACHE: '0',
      },
    });
    expect(diagnostics).toEqual([]);
  });

  const proxies = ['HTTP', 'HTTPS', 'FTP', 'NO', 'ALL'].map((name) => `${name}_PROXY`);
  test.each([...proxies, ...proxies.map((name) => name.toLowerCase())])(
    'L-ARG-7: %s changes no key and no history unless it is declared',
    async (name) => {
      const buildArgs = { [name]: 'http://proxy:1' };
      const plain = await lowerText('FROM base\nRUN x\n', { bases });
      const given = await lowerText('FROM base\nRUN x\n', { bases, buildArgs });
      expect(given).toEqual(plain);
      const declared = await imageOf(`FROM base\nARG ${name}\nRUN x\n`, { bases, buildArgs });
      expect(declared.history.at(-1)).toBe(`* RUN |1 ${name}=http://proxy:1 /bin/sh -c x # buildkit`);
      expect(await seen(`FROM base\nARG ${name}\nRUN x\n`, { buildArgs })).toContain(
        `${name}=http://proxy:1`,
      );
    },
  );
});

describe('automatic ARGs', () => {
  const names = [
    ...['TARGET', 'BUILD'].flatMap((prefix) =>
      ['PLATFORM', 'OS', 'OSVERSION', 'ARCH', 'VARIANT'].map((name) => prefix + name),
    ),
    'TARGETSTAGE',
  ];
  const setup: LowerSetup = {
    platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
    buildPlatform: { os: 'linux', architecture: 'amd64' },
    platformIsExplicit: true,
  };
  const all = (text: string): string =>
    `LABEL ${names.map((name) => `${name}="$${name}"`).join(' ')}\n${text}`;

  test('L-ARG-8: they have values where a stage declares them', async () => {
    expect(await labels(`FROM base\nARG ${names.join(' ')}\n${all('')}`, setup)).toEqual({
      TARGETPLATFORM: 'linux/arm/v7',
      TARGETOS: 'linux',
      TARGETOSVERSION: '',
      TARGETARCH: 'arm',
      TARGETVARIANT: 'v7',
      BUILDPLATFORM: 'linux/amd64',
      BUILDOS: 'linux',
      BUILDOSVERSION: '',
      BUILDARCH: 'amd64',
      BUILDVARIANT: '',
      TARGETSTAGE: 'default',
    });
  });

  test('L-ARG-8: not in a stage that does not, but in FROM', async () => {
    expect(new Set(Object.values(await labels(`FROM base\n${all('')}`, setup)))).toEqual(new Set(['']));
    const asked: string[] = [];
    await lowerText(
      'FROM --platform=$BUILDPLATFORM base AS b\nFROM --platform=linux/$TARGETARCH/$TARGETVARIANT bare\nCOPY --from=b / /\n',
      { ...setup, bases, asked },
    );
    expect(asked.toSorted()).toEqual([
      'docker.io/library/bare:latest linux/arm/v7',
      'docker.io/library/base:latest linux/amd64',
    ]);
  });

  test('L-ARG-8: --build-arg and a default of their own come first, TARGETSTAGE is the target', async () => {
    const text =
      'FROM base AS final\nARG TARGETARCH\nARG TARGETOS=mine\nARG TARGETSTAGE\nLABEL a=$TARGETARCH o=$TARGETOS s=$TARGETSTAGE\n';
    expect(await labels(text, { ...setup, buildArgs: { TARGETARCH: 'riscv64' }, target: 'final' })).toEqual({
      a: 'riscv64',
      o: 'mine',
      s: 'final',
    });
  });
});

describe('ARGs that steer the builder', () => {
  test('L-ARG-9: BUILDKIT_CACHE_MOUNT_NS stands in front of the ids of cache mounts', async () => {
    const text = 'FROM base\nRUN --mount=type=cache,target=/a --mount=type=cache,id=x,target=/b y\n';
    const [run] = await runs(text, { buildArgs: { BUILDKIT_CACHE_MOUNT_NS: 'space' } });
    expect(run?.mounts.map((mount) => mount.type === 'cache' && mount.id)).toEqual(['space//a', 'space/x']);
    const [plain] = await runs(text);
    expect(plain?.mounts.map((mount) => mount.type === 'cache' && mount.id)).toEqual(['//a', '/x']);
  });

  test('L-ARG-9: BUILDKIT_SANDBOX_HOSTNAME names the host of a step', async () => {
    expect((await runs('FROM base\nRUN x\n'))[0]?.hostname).toBe('buildkitsandbox');
    expect(
      (await runs('FROM base\nRUN x\n', { buildArgs: { BUILDKIT_SANDBOX_HOSTNAME: 'box' } }))[0]?.hostname,
    ).toBe('box');
  });

  test('L-ARG-9: BUILDKIT_SYNTAX stands for the directive', async () => {
    const rules = async (value: string): Promise<readonly string[]> =>
      (
        await imageOf('# syntax=someone/else:1\nFROM base\n', {
          bases,
          buildArgs: { BUILDKIT_SYNTAX: value },
        })
      ).warnings;
    expect(await rules('docker/dockerfile:1.7')).toEqual([]);
    expect(await rules('dockerfile.v0')).toEqual([]);
    expect(await rules('another/one')).toEqual(['SyntaxIgnored']);
  });

  test('L-ARG-9: BUILDKIT_DOCKERFILE_CHECK stands for the directive', async () => {
    const text = '# check=skip=all\nFROM base AS Upper\n';
    expect((await imageOf(text, { bases })).warnings).toEqual([]);
    const buildArgs = { BUILDKIT_DOCKERFILE_CHECK: 'error=false' };
    expect((await imageOf(text, { bases, buildArgs })).warnings).toEqual(['StageNameCasing']);
  });

  test('L-ARG-9: what has no effect yet is told', async () => {
    const buildArgs = {
      BUILDKIT_INLINE_CACHE: '1',
      BUILDKIT_MULTI_PLATFORM: 'true',
      BUILDKIT_BUILD_NAME: 'x',
    };
    const { diagnostics } = await lowerText('FROM base\n', { bases, buildArgs });
    expect(diagnostics.map(({ severity, message }) => [severity, message])).toEqual([
      ['note', 'the build arg `BUILDKIT_INLINE_CACHE` has no effect in this version'],
      ['note', 'the build arg `BUILDKIT_MULTI_PLATFORM` has no effect in this version'],
    ]);
  });

  test('L-ARG-9: those of attestations, and the others, reach no step', async () => {
    const buildArgs = Object.fromEntries(
      [
        'BUILDKIT_SBOM_SCAN_CONTEXT',
        'BUILDKIT_SBOM_SCAN_STAGE',
        'BUILDKIT_BUILD_NAME',
        'BUILDKIT_MULTI_PLATFORM',
      ].map((name) => [name, 'true']),
    );
    expect(await seen('FROM base\nRUN x\n', { buildArgs })).toEqual(['FROM_BASE=b']);
    const declared = 'FROM base\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nARG BUILDKIT_SBOM_SCAN_CONTEXT\nRUN x\n';
    expect(await seen(declared, { buildArgs })).toEqual(['FROM_BASE=b']);
  });
});

describe('ENV', () => {
  test('L-ENV-1: pairs, quotes and blanks', async () => {
    const { config, history } = await imageOf(
      'FROM bare\nENV A=1 B="two words" C=three\\ words D=\'$A\' E=\nENV F=$A$B\n',
      { bases },
    );
    expect(config.Env?.slice(1)).toEqual([
      'A=1',
      'B=two words',
      'C=three words',
      'D=$A',
      'E=',
      'F=1two words',
    ]);
    expect(history).toEqual(['ENV A=1 B=two words C=three words D=$A E=', 'ENV F=1two words']);
  });

  test('L-ENV-1: the old form takes the whole rest as the value, and is told', async () => {
    const { config, warnings } = await imageOf('FROM bare\nENV A one  two = three\n', { bases });
    expect(config.Env?.slice(1)).toEqual(['A=one  two = three']);
    expect(warnings).toEqual(['LegacyKeyValueFormat']);
  });

  test('L-ENV-1: a name that is set again keeps its place', async () => {
    const { config } = await imageOf('FROM base\nENV A=1 B=2\nENV FROM_BASE=c A=3\n', { bases });
    expect(config.Env).toEqual(['PATH=/bin', 'FROM_BASE=c', 'A=3', 'B=2']);
  });

  test('L-ENV-2: a base without PATH gets one', async () => {
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    expect((await imageOf('FROM bare\n', { bases })).config.Env).toEqual([path]);
    expect((await imageOf('FROM base\n', { bases })).config.Env).toEqual(['PATH=/bin', 'FROM_BASE=b']);
    const scratch = await imageOf('FROM scratch\nENV A=1\n');
    expect(scratch.config).toMatchObject({ Env: [path, 'A=1'], WorkingDir: '/' });
    expect((await runs('FROM bare\nRUN x\n'))[0]?.env).toEqual([path]);
  });
});
