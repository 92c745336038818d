import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatReference, parseReference } from '../../src/oci/reference.ts';
import type { BuildOptions, ProgressEvent } from '../../src/index.ts';
import { build, BuildError, inspectImage } from '../../src/index.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import type { Bases } from './lowered.ts';
import { amd64, faultsOf, imageOf, lowerText } from './lowered.ts';

const alpine = 'docker.io/library/alpine:latest';
const bases: Bases = { [alpine]: { config: { Env: ['PATH=/bin'] } } };
const arm64 = { os: 'linux', architecture: 'arm64' };
const tree = { kind: 'tree' } as const;

let work: TempFolder;
beforeAll(async () => {
  work = await tempFolder('from');
  for (const folder of ['context', 'other']) {
    mkdirSync(join(work.path, folder));
    writeFileSync(join(work.path, folder, 'file'), folder);
  }
});
afterAll(() => work[Symbol.asyncDispose]());

/** Builds through the library, into a store of this file's own. */
function buildHere(text: string, options: BuildOptions = {}): ReturnType<typeof build> {
  return build({
    context: join(work.path, 'context'),
    dockerfile: { text },
    root: join(work.path, 'store'),
    env: {},
    sourceDateEpoch: 0,
    platform: 'linux/amd64',
    ...options,
  });
}

function errorOf(text: string, options: BuildOptions = {}): Promise<BuildError> {
  return buildHere(text, options).then(
    () => Promise.reject(new Error('the build did not fail')),
    (error: unknown) => {
      if (error instanceof BuildError) return error;
      throw error;
    },
  );
}

async function asked(text: string, more: Parameters<typeof lowerText>[1] = {}): Promise<readonly string[]> {
  const list: string[] = [];
  await lowerText(text, { bases, ...more, asked: list });
  return list;
}

describe('L-FROM-1: FROM names an image', () => {
  test.each([
    ['alpine', alpine],
    ['alpine:3.20', 'docker.io/library/alpine:3.20'],
    ['library/alpine', alpine],
    ['docker.io/alpine', alpine],
    ['index.docker.io/library/alpine', alpine],
    ['user/app:1', 'docker.io/user/app:1'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/app', 'localhost:5000/app:latest'],
    ['ghcr.io/a/b/c:x', 'ghcr.io/a/b/c:x'],
    [`alpine@sha256:${'a'.repeat(64)}`, `docker.io/library/alpine@sha256:${'a'.repeat(64)}`],
    [`alpine:3@sha256:${'a'.repeat(64)}`, `docker.io/library/alpine:3@sha256:${'a'.repeat(64)}`],
  ])('%s is %s', async (written, full) => {
    expect(await asked(`FROM ${written}`, { bases: { [full]: {} } })).toEqual([`${full} linux/amd64`]);
    expect(formatReference(parseReference(full))).toBe(full);
  });

  test('with a tag and a digest the digest decides', () => {
    const { tag, digest } = parseReference(`alpine:3@sha256:${'a'.repeat(64)}`);
    expect({ tag, digest }).toEqual({ tag: '3', digest: `sha256:${'a'.repeat(64)}` });
    expect(parseReference(`alpine@sha256:${'a'.repeat(64)}`).tag).toBeUndefined();
  });

  test('one argument or three, AS in any case', async () => {
    const named = 'FROM alpine aS x\nFROM x';
    expect(await asked(named)).toEqual([`${alpine} linux/amd64`]);
    const wrong = 'FROM takes an image, or an image and `AS` with a name';
    const hint = 'write FROM <image> AS <name>';
    expect(await faultsOf('FROM')).toEqual(['DOCKERFILE_SYNTAX 1:1 FROM needs an image or a stage']);
    expect(await faultsOf('FROM a b')).toEqual([`DOCKERFILE_SYNTAX 1:8 ${wrong} | ${hint}`]);
    expect(await faultsOf('FROM a AS')).toEqual([`DOCKERFILE_SYNTAX 1:8 ${wrong} | ${hint}`]);
    expect(await faultsOf('FROM a IS b')).toEqual([`DOCKERFILE_SYNTAX 1:8 ${wrong} | ${hint}`]);
    expect(await faultsOf('FROM a AS b c')).toEqual([`DOCKERFILE_SYNTAX 1:13 ${wrong} | ${hint}`]);
    expect(await faultsOf('FROM --nope=1 a')).toEqual([
      'DOCKERFILE_UNKNOWN_FLAG 1:6 FROM has no flag `--nope` | it knows --platform',
    ]);
  });

  test('a name that cannot be is an error of the file, in stages that nothing needs too, and all are told', async () => {
    const hint = 'write it like alpine:3.20, ghcr.io/owner/app:1.0 or name@sha256:…';
    expect(await faultsOf('FROM Alpine AS a\nFROM a:b:c\nFROM x@sha256:1\nFROM alpine', { bases })).toEqual([
      `DOCKERFILE_BAD_ARGUMENT 1:6 \`Alpine\` is no image reference: a repository name must be lower case | ${hint}`,
      `DOCKERFILE_BAD_ARGUMENT 2:6 \`a:b:c\` is no image reference: \`b:c\` is no tag: letters, digits, _, . and -, at most 128 | ${hint}`,
      `DOCKERFILE_BAD_ARGUMENT 3:6 \`x@sha256:1\` is no image reference: the digest after \`@\` must be \`sha256:\` and 64 lower-case hex digits | ${hint}`,
    ]);
    const { exitStatus } = await errorOf('FROM Alpine');
    expect(exitStatus).toBe(1);
  });

  test('variables of global ARGs make the name; an empty one is told, with the nearest ARG', async () => {
    const file = 'ARG IMAGE=alp\nARG END\nFROM ${IMAGE}${END:-ine}';
    expect(await asked(file)).toEqual([`${alpine} linux/amd64`]);
    expect(await faultsOf('ARG BASE\nFROM $BASE')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 2:6 `$BASE` is empty: FROM needs an image | before the first FROM write `ARG BASE=VALUE`, or `ARG BASE` and pass --build-arg BASE=VALUE',
    ]);
    expect(await faultsOf('ARG BASE=x\nFROM $BSAE')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 2:6 `$BSAE` is empty: FROM needs an image | did you mean `BASE`?',
    ]);
  });

  test('an image that is nowhere: what was tried, then what the registry says', async () => {
    const nowhere = (name: string): string =>
      `\`${name}\` names no stage, no build context and no image of the store; as an image of a registry: there is no image docker.io/library/${name}:latest`;
    expect(await faultsOf('FROM scratch AS base\nFROM bsae')).toEqual([
      `DOCKERFILE_UNKNOWN_STAGE 2:6 ${nowhere('bsae')} | did you mean \`base\` (line 1)?`,
    ]);
    expect(
      await faultsOf('FROM scratch\nCOPY --from=asets a /', { namedContexts: { assets: tree } }),
    ).toEqual([
      `DOCKERFILE_UNKNOWN_STAGE 2:13 ${nowhere('asets')} | did you mean \`assets\` (a build context)?`,
    ]);
    expect(await faultsOf('FROM mybsae', { localImages: () => Promise.resolve(['mybase']) })).toEqual([
      `IMAGE_NOT_FOUND 1:6 ${nowhere('mybsae')} | did you mean \`mybase\`, which the store has?`,
    ]);
    expect(await faultsOf('FROM later AS first\nFROM scratch AS later', { target: 'first' })).toEqual([
      `DOCKERFILE_UNKNOWN_STAGE 1:6 ${nowhere('later')} | the stage \`later\` (line 2) comes later; only earlier ones can be used`,
    ]);
    expect(await faultsOf('FROM scratch AS one\nFROM scratch AS two\nFROM quite:other')).toEqual([
      'IMAGE_NOT_FOUND 3:6 `quite:other` names no stage, no build context and no image of the store; as an image of a registry: there is no image docker.io/library/quite:other | the stages before this one are `one`, `two`',
    ]);
    expect(await faultsOf('FROM one/two')).toEqual([
      'IMAGE_NOT_FOUND 1:6 there is no image docker.io/one/two:latest',
    ]);
  });
});

describe('L-FROM-2: names of stages', () => {
  test('are found in any case, by FROM, COPY --from and mounts', async () => {
    const file =
      'FROM alpine AS Build\nRUN x\nFROM BUILD\nCOPY --from=bUILD /a /\nRUN --mount=from=builD,target=/b y';
    expect(await asked(file)).toEqual([`${alpine} linux/amd64`]);
  });

  test.each(['1x', '-a', 'a/b', 'a:b', 'é'])('%s is none', async (name) => {
    expect(await faultsOf(`FROM alpine AS ${name}`)).toEqual([
      `DOCKERFILE_BAD_ARGUMENT 1:16 \`${name}\` cannot be the name of a stage | use a letter, then letters, digits, \`-\`, \`_\` and \`.\``,
    ]);
  });

  test.each(['a', 'A', 'a-b_c.9'])('%s is one', async (name) => {
    expect((await imageOf(`FROM alpine AS ${name}`, { bases, target: name })).history).toEqual([]);
  });

  test('of two stages with one name FROM takes the last before it', async () => {
    const file = 'FROM scratch AS x\nENV A=1\nFROM scratch AS x\nENV A=2\nFROM x';
    const { config, warnings } = await imageOf(file);
    expect(config.Env).toContain('A=2');
    expect(warnings).toContain('DuplicateStageName');
  });

  test('of two stages with one name --from means the last of the file, which must be earlier', async () => {
    const twice = 'FROM scratch AS x\nCOPY a /1\nFROM scratch AS x\nCOPY a /2\n';
    const { steps } = await imageOf(`${twice}FROM scratch\nCOPY --from=x / /`);
    expect(steps).toEqual([
      '[internal] load build context',
      '[x 1/1] COPY a /2',
      '[stage-2 1/1] COPY --from=x / /',
    ]);
    expect(
      await faultsOf(`FROM scratch AS x\nFROM scratch AS y\nCOPY --from=x / /\n${twice}`, { target: 'y' }),
    ).toEqual([
      'DOCKERFILE_UNKNOWN_STAGE 3:13 the stage `x` needs to be defined before the current stage | its FROM stands on line 6',
    ]);
  });

  test('a stage without a name is stage-N in step names, and its number names it in --from and --target', async () => {
    const file = 'FROM scratch\nCOPY a /\nFROM scratch\nCOPY --from=0 a /b';
    expect((await imageOf(file)).steps).toEqual([
      '[internal] load build context',
      '[stage-0 1/1] COPY a /',
      '[stage-1 1/1] COPY --from=0 a /b',
    ]);
    expect((await imageOf(file, { target: '0' })).history).toEqual(['* COPY a / # buildkit']);
    expect(await faultsOf(`${file}\nCOPY --from=2 a /`)).toEqual([
      'DOCKERFILE_UNKNOWN_STAGE 5:13 there is no stage 2 | stages are numbered from 0; this one is 1',
    ]);
    // In FROM a number is the name of an image.
    expect(await asked(`${file}\nFROM 0`, { bases: { 'docker.io/library/0:latest': {} } })).toEqual([
      'docker.io/library/0:latest linux/amd64',
    ]);
  });

  test('a target that is no stage is told with the nearest', async () => {
    expect(await faultsOf('FROM scratch AS release', { target: 'relaese' })).toEqual([
      'DOCKERFILE_UNKNOWN_STAGE -:- no stage is called `relaese` | did you mean `release`?',
    ]);
  });
});

describe('L-FROM-3: where a base name is looked for', () => {
  const name = 'docker.io/library/thing:latest';
  const other = 'docker.io/library/other:latest';
  const both: Bases = { [name]: {}, [other]: {}, [alpine]: {} };

  test('an earlier stage, then a build context, then the registry', async () => {
    const contexts = { thing: { kind: 'image', reference: other } } as const;
    expect(await asked('FROM thing', { bases: both })).toEqual([`${name} linux/amd64`]);
    expect(await asked('FROM thing', { bases: both, namedContexts: contexts })).toEqual([
      `${other} linux/amd64`,
    ]);
    expect(await asked('FROM alpine AS mine\nFROM mine', { bases: both, namedContexts: contexts })).toEqual([
      `${alpine} linux/amd64`,
    ]);
  });

  test('a build context that nothing could mean is told, with the name that is near', async () => {
    const unused = async (text: string, ...names: readonly string[]) => {
      const namedContexts = Object.fromEntries(names.map((each) => [each, tree]));
      const { diagnostics } = await lowerText(text, { bases: both, namedContexts });
      return diagnostics
        .filter(({ rule }) => rule === 'UnusedBuildContext')
        .map(({ message, hint }) => [message, hint]);
    };
    expect(await unused('FROM thing\nCOPY --from=tools /a /', 'tols', 'tools', 'other::linux/arm64')).toEqual(
      [
        ['no FROM and no --from takes the build context `tols`', 'did you mean `tools`?'],
        ['no FROM and no --from takes the build context `other`', undefined],
      ],
    );
    // In a stage that is not built, as an image, in a mount, as a stage, for another platform.
    const text =
      'FROM scratch AS a\nCOPY --from=one / /\nRUN --mount=from=two,target=/t x\nFROM scratch AS three\nFROM thing';
    expect(
      await unused(text, 'one', 'two', 'three', 'docker.io/library/thing:latest', 'one::linux/arm64'),
    ).toEqual([]);
  });

  test('a build context for the platform comes before the one for all', async () => {
    const namedContexts = {
      thing: { kind: 'image', reference: name },
      'thing::linux/arm64': { kind: 'image', reference: other },
    } as const;
    const setup = { bases: both, namedContexts };
    expect(await asked('FROM --platform=linux/arm64 thing', setup)).toEqual([`${other} linux/arm64`]);
    expect(await asked('FROM thing', setup)).toEqual([`${name} linux/amd64`]);
  });

  test.each(['thing', 'thing:latest', 'docker.io/library/thing', 'docker.io/library/thing:latest'])(
    'the name of a build context is compared as that of an image: %s',
    async (written) => {
      for (const key of ['thing', 'docker.io/thing:latest', 'library/thing::linux/amd64']) {
        const namedContexts = { [key]: { kind: 'image', reference: other } } as const;
        expect(await asked(`FROM ${written}`, { bases: both, namedContexts })).toEqual([
          `${other} linux/amd64`,
        ]);
      }
      const elsewhere = { 'thing:1': { kind: 'image', reference: other } } as const;
      expect(await asked(`FROM ${written}`, { bases: both, namedContexts: elsewhere })).toEqual([
        `${name} linux/amd64`,
      ]);
    },
  );

  test('a build context called like a stage replaces the stage with all its instructions', async () => {
    const file = 'FROM nowhere AS Deps\nRUN never\nENV NEVER=1\nFROM deps\nCOPY --from=deps /x /y\nRUN z';
    const replaced = await imageOf(file, { namedContexts: { deps: tree } });
    expect(replaced.steps).toEqual([
      '[context deps] load',
      '[context deps] make a layer',
      '[stage-1 1/2] COPY --from=deps /x /y',
      '[stage-1 2/2] RUN z',
    ]);
    expect(replaced.config.Env).not.toContain('NEVER=1');
    const image = { deps: { kind: 'image', reference: other } } as const;
    const onImage = await imageOf(file, {
      bases: { [other]: { config: { Env: ['FROM_IMAGE=1'], User: 'app' } } },
      namedContexts: image,
    });
    expect(onImage.config).toMatchObject({
      User: 'app',
      Env: ['FROM_IMAGE=1', expect.stringMatching(/^PATH=/)],
    });
    const asTarget = await imageOf(file, { namedContexts: { deps: tree }, target: 'deps' });
    expect(asTarget.history).toEqual(['* FROM deps']);
  });

  test('a build context may be the empty image', async () => {
    const namedContexts = { base: { kind: 'image', reference: 'scratch' } } as const;
    const { steps } = await imageOf('FROM base\nCOPY --from=base / /x', { namedContexts });
    expect(steps.at(-1)).toBe('[1/1] COPY --from=base / /x');
  });

  test('the store comes before the registry, a directory as build context before both', async () => {
    await buildHere('FROM scratch\nCOPY file /from-store', { tags: ['local/base'] });
    await buildHere('FROM local/base\nCOPY --from=local/base /from-store /again', { tags: ['local/store'] });
    const store = { root: join(work.path, 'store') };
    expect((await inspectImage({ ...store, image: 'local/store' })).config.history).toHaveLength(2);
    await buildHere('FROM local/base\nCOPY file /more', {
      tags: ['local/context'],
      buildContexts: { 'local/base': join(work.path, 'other') },
    });
    const { config } = await inspectImage({ ...store, image: 'local/context' });
    expect(config.history?.map((entry) => entry.created_by)).toEqual([
      'FROM local/base',
      'COPY file /more # buildkit',
    ]);
    expect(config.rootfs.diff_ids).toHaveLength(2);
  });

  test('a store image of another platform says so when the registry does not help', async () => {
    await buildHere('FROM scratch\nCOPY file /', { tags: ['127.0.0.1:1/arm'], platform: 'linux/arm64' });
    const error = await errorOf('FROM 127.0.0.1:1/arm\nCOPY file /x');
    expect(error.code).toBe('IMAGE_PLATFORM');
    expect(error.message).toMatch(
      /^the store has `127\.0\.0\.1:1\/arm:latest` for linux\/arm64, not for linux\/amd64; of the registry: /,
    );
    expect(error.hint).toContain('--platform linux/arm64');
    expect(error.source?.range.start).toEqual({ line: 1, column: 6 });
    const fine = await buildHere('FROM 127.0.0.1:1/arm\nCOPY file /x', { platform: 'linux/arm64' });
    expect(fine.digest).toMatch(/^sha256:/);
  });
});

describe('L-FROM-4: scratch and reserved names', () => {
  test('scratch is the empty image; nothing is asked for, no step is made', async () => {
    const { config, steps, history } = await imageOf('FROM scratch\nCOPY --from=scratch /x /y');
    expect(config).toEqual({
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      WorkingDir: '/',
    });
    expect(steps.at(-1)).toBe('[1/1] COPY --from=scratch /x /y');
    expect(history).toEqual(['* COPY /x /y # buildkit']);
  });

  test('in another case it is the name of an image, and none that could be', async () => {
    expect(await faultsOf('FROM Scratch')).toEqual([
      expect.stringContaining('`Scratch` is no image reference: a repository name must be lower case'),
    ]);
  });

  test('neither scratch nor context can be taken over by a build context', async () => {
    const namedContexts = { scratch: tree, context: tree };
    const { steps } = await imageOf(
      'FROM scratch\nCOPY a /\nCOPY --from=scratch b /\nFROM scratch AS context\nCOPY --from=0 / /',
      { namedContexts },
    );
    expect(steps).toEqual([
      '[internal] load build context',
      '[stage-0 1/2] COPY a /',
      '[internal] empty',
      '[stage-0 2/2] COPY --from=scratch b /',
      '[context 1/1] COPY --from=0 / /',
    ]);
  });

  test.each(['scratch', 'context'])('a stage called %s is warned of', async (name) => {
    expect((await imageOf(`FROM scratch AS ${name}`)).warnings).toEqual(['ReservedStageName']);
  });
});

describe('L-FROM-5: platforms', () => {
  test('the default is the platform of the build; --platform takes global ARGs', async () => {
    expect(await asked('FROM alpine', { platform: arm64 })).toEqual([`${alpine} linux/arm64`]);
    const file =
      'ARG P=arm64\nFROM --platform=linux/$P alpine AS a\nFROM --platform=$BUILDPLATFORM alpine\nCOPY --from=a / /';
    expect((await asked(file, { platform: arm64 })).toSorted()).toEqual([
      `${alpine} linux/amd64`,
      `${alpine} linux/arm64`,
    ]);
  });

  test('a platform that cannot be, or is empty, is told with its place', async () => {
    expect(await faultsOf('FROM --platform=foo scratch')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 1:17 `foo` is no platform: it is no operating system and no processor | write it like linux/amd64 or linux/arm64',
    ]);
    expect(await faultsOf('FROM scratch\nFROM --platform=linux/amd6 alpine\nFROM scratch')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 2:17 `linux/amd6` is no platform: `amd6` is no processor | did you mean `amd64`?',
    ]);
    expect(await faultsOf('FROM scratch\nFROM --platform=$TARGETPLATFROM alpine\nFROM scratch')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 2:17 `$TARGETPLATFROM` is empty: --platform needs a value | did you mean `TARGETPLATFORM`?',
    ]);
    const { code, exitStatus } = await errorOf('FROM scratch', { platform: 'foo' });
    expect({ code, exitStatus }).toEqual({ code: 'USAGE', exitStatus: 2 });
    const told = async (platform: string): Promise<string> =>
      (await errorOf('FROM scratch', { platform })).message;
    expect(await told('linux/amd64,foo')).toContain('`foo` is no platform');
    expect(await told('linux/amd64,linux/arm64')).toBe(
      'one platform can be built at a time, not linux/amd64 and linux/arm64',
    );
    // The same one, twice.
    expect((await buildHere('FROM scratch', { platform: 'linux/amd64,linux/x86_64' })).digest).toBeDefined();
    const fromEnvironment = await errorOf('FROM scratch', {
      platform: undefined,
      env: { DOCKER_DEFAULT_PLATFORM: 'linux/amd6' },
    });
    expect(fromEnvironment.message).toBe(
      'DOCKER_DEFAULT_PLATFORM: `linux/amd6` is no platform: `amd6` is no processor',
    );
    expect(fromEnvironment.hint).toBe('did you mean `amd64`?');
  });

  const foreign: Bases = {
    [alpine]: { architecture: 'arm64', variant: 'v8', 'os.version': '1', 'os.features': ['f'] },
  };

  test('nobody asked: the platform of the base is adopted, and warned of where it cannot run', async () => {
    const adopted = await imageOf('FROM alpine\nRUN x', { bases: foreign, runsHere: () => true });
    expect(adopted.platform).toEqual({ ...arm64, 'os.version': '1', 'os.features': ['f'] });
    expect(adopted.warnings).toEqual([]);
    expect(adopted.steps).toEqual([`[linux/arm64 1/2] FROM ${alpine}`, '[linux/arm64 2/2] RUN x']);
    const { platform, warnings } = await imageOf('FROM alpine\nRUN x', { bases: foreign });
    expect({ platform, warnings }).toEqual({
      platform: adopted.platform,
      warnings: ['InvalidBaseImagePlatform'],
    });
  });

  test('somebody asked: a base of another platform is warned of, and the image is for what was asked', async () => {
    const onCommandLine = await imageOf('FROM alpine', { bases: foreign, platformIsExplicit: true });
    expect(onCommandLine.platform).toEqual(amd64);
    expect(onCommandLine.warnings).toEqual(['InvalidBaseImagePlatform']);
    const inFile = await imageOf('FROM --platform=$BUILDPLATFORM alpine', { bases: foreign });
    expect(inFile.warnings).toEqual(['InvalidBaseImagePlatform']);
    const cross = await imageOf('FROM --platform=$BUILDPLATFORM alpine', {
      bases,
      platform: arm64,
      platformIsExplicit: true,
    });
    expect(cross.platform).toEqual(arm64);
    expect((await imageOf('FROM --platform=linux/arm64 alpine', { bases })).platform).toEqual(arm64);
  });

  test('--platform says nothing about scratch, nor about a stage', async () => {
    expect((await imageOf('FROM --platform=linux/arm64 scratch')).platform).toEqual(amd64);
    const file = 'FROM alpine AS a\nFROM --platform=linux/arm64 a';
    expect((await imageOf(file, { bases })).platform).toEqual(amd64);
  });
});

describe('L-FROM-6: what is built', () => {
  test('only what the target reaches; of other stages nothing is resolved', async () => {
    const file = 'FROM nowhere AS unused\nRUN x\nFROM alpine AS a\nFROM a AS b\nRUN b\nFROM elsewhere\n';
    const list: string[] = [];
    const { definition } = await lowerText(file, { bases, asked: list, target: 'b' });
    expect(list).toEqual([`${alpine} linux/amd64`]);
    expect(definition.vertices).toHaveLength(2);
    expect(await asked('FROM nowhere AS no\nFROM alpine\n')).toEqual([`${alpine} linux/amd64`]);
  });

  test('independent bases are resolved side by side, each once', async () => {
    let open = 0;
    let most = 0;
    const list: string[] = [];
    const file =
      'FROM one AS a\nFROM two AS b\nFROM three AS c\nFROM one AS d\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\nCOPY --from=d / /\nRUN --mount=from=c,target=/c x';
    await lowerText(file, {
      resolveImage: async (reference, platform) => {
        list.push(reference);
        most = Math.max(most, ++open);
        await new Promise((resolve) => setImmediate(resolve));
        open -= 1;
        return {
          reference,
          platform,
          digest: `sha256:${'0'.repeat(64)}`,
          config: { ...platform, rootfs: { type: 'layers', diff_ids: [] } },
        };
      },
    });
    expect(most).toBe(3);
    expect(list).toHaveLength(3);
  });

  test('a stage that needs itself, directly or in a circle, is told, reachable or not', async () => {
    expect(await faultsOf('FROM scratch AS a\nCOPY --from=A / /\nFROM scratch')).toEqual([
      'DOCKERFILE_UNKNOWN_STAGE 2:1 circular dependency detected on stage `a` | a stage cannot copy from itself',
    ]);
    const circle =
      'FROM scratch AS a\nRUN --mount=from=c,target=/c x\nFROM scratch AS b\nCOPY --from=0 / /\nFROM scratch AS c\nCOPY --from=b / /\nFROM scratch';
    expect(await faultsOf(circle)).toEqual([
      'DOCKERFILE_UNKNOWN_STAGE 4:1 circular dependency detected on stage `b` | the stage `a` needs this one, so this one cannot need it',
    ]);
  });

  test('a stage that comes later can be named by none that is built', async () => {
    const file = 'FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nFROM scratch';
    expect((await imageOf(file)).steps).toEqual([]);
    expect(await faultsOf(file, { target: 'a' })).toEqual([
      'DOCKERFILE_UNKNOWN_STAGE 2:13 the stage `b` needs to be defined before the current stage | its FROM stands on line 3',
    ]);
  });

  test('twenty thousand stages are looked through in little time', async () => {
    const stages = Array.from(
      { length: 20_000 },
      (_, at) => `FROM scratch AS s${at % 7}\nCOPY --from=${at + 1} / /`,
    );
    expect(await faultsOf(`${stages.join('\n')}\nFROM scratch AS last\nCOPY --from=0 / /`)).toEqual([
      expect.stringContaining('circular dependency detected on stage `last`'),
    ]);
  });
});

describe('L-FROM-7: what a stage inherits', () => {
  const inherited = {
    Env: ['PATH=/opt:/bin', 'LANG=C'],
    Cmd: ['run'],
    Entrypoint: ['/entry'],
    User: 'app',
    WorkingDir: '/srv',
    Labels: { of: 'base' },
    Volumes: { '/data': {} },
    ExposedPorts: { '80/tcp': {} },
    StopSignal: 'SIGQUIT',
    Shell: ['/bin/bash', '-c'],
    Healthcheck: { Test: ['CMD', 'true'], Retries: 2 },
    ArgsEscaped: true,
  };
  const full: Bases = {
    [alpine]: {
      author: 'somebody',
      created: '2020-01-01T00:00:00Z',
      config: { ...inherited, OnBuild: ['ENV FIRED=1'] },
      history: [{ created_by: 'base layer' }],
    },
  };

  test('everything of the config, the history and the author; not OnBuild', async () => {
    const { images } = await lowerText('FROM alpine AS a\nFROM a', { bases: full });
    expect(images[0]?.config).toEqual({
      author: 'somebody',
      config: { ...inherited, Env: [...inherited.Env, 'FIRED=1'] },
    });
    expect(images[0]?.baseHistory).toEqual([{ created_by: 'base layer' }]);
    expect(images[0]?.history.map((entry) => entry.created_by)).toEqual(['ENV FIRED=1']);
  });

  test('PATH is added where the base has none, the directory is made clean', async () => {
    const { config } = await imageOf('FROM alpine', {
      bases: { [alpine]: { config: { Env: ['A=1'], WorkingDir: 'srv//x/../' } } },
    });
    expect(config).toEqual({
      Env: ['A=1', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      WorkingDir: '/srv',
    });
    expect((await imageOf('FROM alpine', { bases: { [alpine]: {} } })).config.WorkingDir).toBeUndefined();
  });

  test('the rootfs is inherited, the time of creation is not', async () => {
    const store = { root: join(work.path, 'store') };
    await buildHere('FROM scratch\nCOPY file /1', { tags: ['local/dated'], sourceDateEpoch: 1000 });
    await buildHere('FROM local/dated\nCOPY file /2', { tags: ['local/fresh'], sourceDateEpoch: 2000 });
    const before = (await inspectImage({ ...store, image: 'local/dated' })).config;
    const { config } = await inspectImage({ ...store, image: 'local/fresh' });
    expect(config.rootfs.diff_ids).toHaveLength(2);
    expect(config.rootfs.diff_ids[0]).toBe(before.rootfs.diff_ids[0]);
    expect(config.created).toBe('1970-01-01T00:33:20.000Z');
    expect(config.history?.map((entry) => entry.created)).toEqual([
      '1970-01-01T00:16:40.000Z',
      '1970-01-01T00:33:20.000Z',
    ]);
  });
});

describe('L-FROM-2 L-FROM-4: steps are counted as BuildKit counts them', () => {
  test('FROM counts where it pulls: not of scratch, of a stage, of a build context', async () => {
    const file =
      'FROM alpine AS a\nENV X=1\nWORKDIR /w\nFROM a AS b\nRUN b\nFROM ctx AS c\nCOPY --from=b / /\nFROM scratch\nADD x /\nCOPY --from=c / /';
    const { steps } = await imageOf(file, { bases, namedContexts: { ctx: tree } });
    expect(steps.toSorted()).toEqual([
      `[a 1/2] FROM ${alpine}`,
      '[a 2/2] WORKDIR /w',
      '[b 1/1] RUN b',
      '[c 1/1] COPY --from=b / /',
      '[context ctx] load',
      '[context ctx] make a layer',
      '[internal] load build context',
      '[stage-3 1/2] ADD x /',
      '[stage-3 2/2] COPY --from=c / /',
    ]);
  });

  test('the events of a build have these names', async () => {
    const names = new Set<string>();
    await buildHere('FROM scratch AS a\nCOPY file /counted\nFROM a\nWORKDIR /w\nCOPY file /x', {
      onEvent: (event: ProgressEvent) => {
        if (event.type === 'vertex') names.add(event.name);
      },
    });
    expect([...names].filter((name) => /\d\/\d\]/.test(name)).toSorted()).toEqual([
      '[a 1/1] COPY file /counted',
      '[stage-1 1/2] WORKDIR /w',
      '[stage-1 2/2] COPY file /x',
    ]);
  });
});
