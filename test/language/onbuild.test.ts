import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ProgressEvent } from '../../src/index.ts';
import { build, inspectImage } from '../../src/index.ts';
import { tempFolder } from '../support/temp.ts';
import { faultsOf, imageOf, lowerText } from './lowered.ts';

const base = 'docker.io/library/base:latest';

/** The image that a Dockerfile makes on a base with these triggers. */
function onBase(triggers: readonly string[], text: string): ReturnType<typeof imageOf> {
  return imageOf(text, { bases: { [base]: { config: { Env: ['PATH=/bin'], OnBuild: triggers } } } });
}

function faultsOn(triggers: readonly string[], text: string): Promise<readonly string[]> {
  return faultsOf(text, { bases: { [base]: { config: { OnBuild: triggers } } } });
}

test('a build context that only a trigger of a base takes is not unused', async () => {
  const { diagnostics } = await lowerText('FROM base', {
    bases: { [base]: { config: { OnBuild: ['RUN --mount=from=files,target=/f x'] } } },
    namedContexts: { files: { kind: 'tree' } },
  });
  expect(diagnostics.map(({ rule }) => rule)).toEqual([]);
});

describe('L-OB-1: what ONBUILD keeps', () => {
  test('the text of the instruction, joined, with its heredocs; nothing is run, no history is written', async () => {
    const { config, history, steps } = await imageOf(
      'FROM scratch\nONBUILD   run make \\\n  # a comment\n  $X\nonbuild COPY ["a b", "/c"]\nONBUILD COPY <<A <<-"B" /x/\na $X\nA\n\tb\n\tB\nONBUILD HEALTHCHECK --retries=2 CMD x',
    );
    expect(config.OnBuild).toEqual([
      'run make   $X',
      'COPY ["a b", "/c"]',
      'COPY <<A <<-"B" /x/\na $X\nA\n\tb\n\tB',
      'HEALTHCHECK --retries=2 CMD x',
    ]);
    expect({ history, steps }).toEqual({ history: [], steps: [] });
  });

  test('not ONBUILD, FROM, MAINTAINER, nor nothing', async () => {
    expect(
      await faultsOf('FROM scratch\nONBUILD ONBUILD RUN x\nONBUILD from x\nONBUILD MAINTAINER me\nONBUILD'),
    ).toEqual([
      'DOCKERFILE_SYNTAX 2:9 ONBUILD cannot be a trigger of ONBUILD',
      'DOCKERFILE_SYNTAX 3:9 FROM cannot be a trigger of ONBUILD',
      'DOCKERFILE_SYNTAX 4:9 MAINTAINER cannot be a trigger of ONBUILD',
      'DOCKERFILE_SYNTAX 5:1 ONBUILD needs an instruction',
    ]);
  });

  test('its faults are told where they are written', async () => {
    expect(await faultsOf('FROM scratch\nONBUILD RNU x\nONBUILD \\\n  COPY a\nONBUILD RUN --nope x')).toEqual(
      [
        'DOCKERFILE_UNKNOWN_INSTRUCTION 2:9 unknown instruction `RNU` | did you mean `RUN`?',
        expect.stringMatching(/^DOCKERFILE_SYNTAX 4:3 COPY /),
        expect.stringMatching(/^DOCKERFILE_UNKNOWN_FLAG 5:13 RUN has no flag `--nope`/),
      ],
    );
  });

  test('the triggers of an image stand behind those that its own base had left', async () => {
    const { config } = await onBase(['ENV A=1'], 'FROM base\nONBUILD ENV B=1\nONBUILD ENV C=1');
    expect(config.OnBuild).toEqual(['ENV B=1', 'ENV C=1']);
    expect(config.Env).toContain('A=1');
  });
});

describe('L-OB-1: when triggers run', () => {
  test('right after the FROM of the next image, in order, each as an instruction of the stage', async () => {
    const { steps, history, config } = await onBase(
      ['ARG V=1', 'ENV SEEN=$V', 'WORKDIR /app', 'COPY . .', 'RUN make $V', 'USER app'],
      'FROM base AS it\nRUN after',
    );
    expect(steps).toEqual([
      `[it 1/5] FROM ${base}`,
      '[it 2/5] ONBUILD WORKDIR /app',
      '[internal] load build context',
      '[it 3/5] ONBUILD COPY . .',
      '[it 4/5] ONBUILD RUN make $V',
      '[it 5/5] RUN after',
    ]);
    expect(history).toEqual([
      'ARG V=1',
      'ENV SEEN=1',
      '* WORKDIR /app',
      '* COPY . . # buildkit',
      '* RUN |1 V=1 /bin/sh -c make $V # buildkit',
      'USER app',
      '* RUN |1 V=1 /bin/sh -c after # buildkit',
    ]);
    expect(config).toEqual({ Env: ['PATH=/bin', 'SEEN=1'], User: 'app', WorkingDir: '/app' });
  });

  test('once: neither the image nor a stage on it has them any more', async () => {
    const text = 'FROM base AS a\nFROM a AS b\nFROM b';
    const { steps, config } = await onBase(['RUN once'], text);
    expect(steps).toEqual([`[a 1/2] FROM ${base}`, '[a 2/2] ONBUILD RUN once']);
    expect(config.OnBuild).toBeUndefined();
  });

  test('also for a stage on an earlier stage of the file', async () => {
    const { steps, history, config } = await imageOf(
      'FROM scratch AS a\nENV X=1\nONBUILD RUN use $X\nONBUILD ENV X=2\nFROM a AS b\nRUN b\nFROM b\nRUN c',
    );
    expect(steps).toEqual(['[b 1/2] ONBUILD RUN use $X', '[b 2/2] RUN b', '[stage-2 1/1] RUN c']);
    expect(history.filter((line) => line === 'ENV X=2')).toHaveLength(1);
    expect(config.OnBuild).toBeUndefined();
  });

  test('two stages on one base each run them', async () => {
    const { steps } = await onBase(['RUN x'], 'FROM base AS a\nFROM base AS b\nCOPY --from=a / /a');
    expect(steps.filter((name) => name.includes('RUN x'))).toHaveLength(1);
    const args = await imageOf('FROM base AS a\nFROM base AS b\nENV N=b\nCOPY --from=a / /a', {
      bases: { [base]: { config: { OnBuild: ['ENV T=1'] } } },
    });
    expect(args.history).toEqual(['ENV T=1', 'ENV N=b', '* COPY / /a # buildkit']);
  });

  test('COPY --from and mounts name stages, numbers and build contexts of the file at hand, and images', async () => {
    const { steps } = await imageOf(
      'FROM scratch AS tools\nCOPY t /t\nFROM scratch\nCOPY z /z\nFROM base\nFROM scratch AS later',
      {
        target: '2',
        bases: {
          [base]: {
            config: {
              OnBuild: [
                'COPY --from=TOOLS /t /t',
                'COPY --from=1 /z /z',
                'RUN --mount=from=files,target=/f --mount=from=img,target=/i x',
              ],
            },
          },
          'docker.io/library/img:latest': {},
        },
        namedContexts: { files: { kind: 'tree' } },
      },
    );
    expect(steps).toEqual([
      `[stage-2 1/4] FROM ${base}`,
      '[internal] load build context',
      '[tools 1/1] COPY t /t',
      '[stage-2 2/4] ONBUILD COPY --from=TOOLS /t /t',
      '[stage-1 1/1] COPY z /z',
      '[stage-2 3/4] ONBUILD COPY --from=1 /z /z',
      '[context files] load',
      'FROM docker.io/library/img:latest',
      '[stage-2 4/4] ONBUILD RUN --mount=from=files,target=/f --mount=from=img,target=/i x',
    ]);
  });

  test('with heredocs, expanded by what the next file says', async () => {
    const { definition } = await lowerText('FROM base\n', {
      buildArgs: { V: 'given' },
      bases: {
        [base]: {
          config: { OnBuild: ['ARG V=1', 'COPY <<A <<"B" /x/\n$V\nA\n$V\nB', 'RUN <<EOF\necho $V\nEOF'] },
        },
      },
    });
    const ops = definition.vertices.map(({ op }) => op);
    expect(ops.find((op) => op.kind === 'copy')).toMatchObject({
      sources: [
        { kind: 'inline', name: 'A', content: 'given\n' },
        { kind: 'inline', name: 'B', content: '$V\n' },
      ],
    });
    expect(ops.find((op) => op.kind === 'exec')).toMatchObject({ args: ['/bin/sh', '-c', 'echo $V\n'] });
  });

  test('the escape character of the file at hand counts in their words', async () => {
    const text = '# escape=`\nFROM base';
    const { config } = await onBase(['ENV A=1', 'VOLUME /`$A/$A\\x'], text);
    expect(Object.keys(config.Volumes ?? {})).toEqual(['/$A/1\\x']);
  });
});

describe('L-OB-1: faults of triggers', () => {
  const name = `ONBUILD of ${base}`;
  const origin = 'the trigger comes with the base on line 2 of Dockerfile';

  test.each([
    ['FROM x', `DOCKERFILE_SYNTAX ${name}:1:1 FROM cannot be a trigger of ONBUILD | ${origin}`],
    ['ONBUILD RUN x', `DOCKERFILE_SYNTAX ${name}:1:1 ONBUILD cannot be a trigger of ONBUILD | ${origin}`],
    ['RUN a\nRUN b', `DOCKERFILE_SYNTAX ${name}:2:1 an ONBUILD trigger is one instruction | ${origin}`],
    ['', `DOCKERFILE_SYNTAX ${name}:1:1 an ONBUILD trigger is one instruction | ${origin}`],
    ['# nothing', `DOCKERFILE_SYNTAX ${name}:1:1 an ONBUILD trigger is one instruction | ${origin}`],
    [
      'RNU x',
      `DOCKERFILE_UNKNOWN_INSTRUCTION ${name}:1:1 unknown instruction \`RNU\` | did you mean \`RUN\`?; ${origin}`,
    ],
    [
      'STOPSIGNAL NOPE',
      `DOCKERFILE_BAD_ARGUMENT ${name}:1:12 \`NOPE\` is no signal | write a name like SIGTERM or a number from 1 to 64; ${origin}`,
    ],
    [
      'COPY --from=7 a /',
      `DOCKERFILE_UNKNOWN_STAGE ${name}:1:13 there is no stage 7 | stages are numbered from 0; this one is 1; ${origin}`,
    ],
  ])('%j', async (trigger, fault) => {
    expect(await faultsOn([trigger], 'FROM scratch AS a\nFROM base')).toEqual([fault]);
  });

  test('are faults only where the stage is built', async () => {
    const { steps } = await onBase(['FROM x'], 'FROM base AS unused\nFROM scratch');
    expect(steps).toEqual([]);
  });
});

test('L-OB-1: a build with triggers, from the store', async () => {
  await using folder = await tempFolder('onbuild');
  const context = join(folder.path, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'app'), 'app');
  const names: string[] = [];
  const common = { context, root: join(folder.path, 'store'), env: {}, sourceDateEpoch: 0 };
  await build({
    ...common,
    tags: ['parent'],
    dockerfile: { text: 'FROM scratch\nONBUILD WORKDIR /srv\nONBUILD COPY app .\nONBUILD LABEL by=trigger' },
  });
  const parent = await inspectImage({ root: common.root, image: 'parent' });
  expect(parent.config.config?.OnBuild).toEqual(['WORKDIR /srv', 'COPY app .', 'LABEL by=trigger']);
  expect(parent.config.history ?? []).toEqual([]);
  await build({
    ...common,
    tags: ['child'],
    dockerfile: { text: 'FROM parent\nCOPY app /again' },
    onEvent: (event: ProgressEvent) => {
      if (event.type === 'vertex' && event.state === 'done') names.push(event.name);
    },
  });
  const { config } = await inspectImage({ root: common.root, image: 'child' });
  expect(config.config).toMatchObject({ WorkingDir: '/srv', Labels: { by: 'trigger' } });
  expect(config.config?.OnBuild).toBeUndefined();
  expect(config.rootfs.diff_ids).toHaveLength(3);
  expect(names.filter((text) => text.includes('ONBUILD')).toSorted()).toEqual([
    '[2/4] ONBUILD WORKDIR /srv',
    '[3/4] ONBUILD COPY app .',
  ]);
});
