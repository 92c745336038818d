import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { imageConfig } from '../../src/api/image-config.ts';
import { goQuote } from '../../src/frontend/go-quote.ts';
import type { StoredLayer } from '../../src/image/layer-store.ts';
import { openLayoutImage } from '../../src/image/oci-layout.ts';
import type { BuildOptions, ImageDetails } from '../../src/index.ts';
import { build, inspectImage } from '../../src/index.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { Platform } from '../../src/oci/platform.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { amd64, imageOf, lowerText } from './lowered.ts';

async function historyOf(
  text: string,
  buildArgs: Readonly<Record<string, string>> = {},
): Promise<readonly string[]> {
  return (await imageOf(`FROM scratch\n${text}`, { buildArgs })).history;
}

describe('L-CFG-1: the text of history entries', () => {
  test.each([
    ['RUN a  b', '* RUN /bin/sh -c a  b # buildkit'],
    ['RUN ["a", "b c"]', '* RUN a b c # buildkit'],
    ['COPY a b /c/', '* COPY a b /c/ # buildkit'],
    ['ADD a /c', '* ADD a /c # buildkit'],
    ['WORKDIR /x', '* WORKDIR /x'],
    ['WORKDIR /', 'WORKDIR /'],
    ['ENV K=V L="a b"', 'ENV K=V L=a b'],
    ['ENV K some text', 'ENV K=some text'],
    ['ARG A', 'ARG A'],
    ['ARG A=1 B C="x y"', 'ARG A=1 B C=x y'],
    ['CMD ["a", "b"]', 'CMD ["a" "b"]'],
    ['CMD a "b"', 'CMD ["/bin/sh" "-c" "a \\"b\\""]'],
    ['CMD []', 'CMD []'],
    ['ENTRYPOINT ["a"]', 'ENTRYPOINT ["a"]'],
    ['ENTRYPOINT []', 'ENTRYPOINT []'],
    ['EXPOSE 80', 'EXPOSE [80/tcp]'],
    ['VOLUME /a /b', 'VOLUME [/a /b]'],
    ['USER u', 'USER u'],
    ['LABEL k=v "l m"="n o"', 'LABEL k=v l m=n o'],
    ['STOPSIGNAL SIGINT', 'STOPSIGNAL SIGINT'],
    ['SHELL ["/bin/ash", "-c"]', 'SHELL [/bin/ash -c]'],
    ['MAINTAINER me', 'MAINTAINER me'],
    [
      'HEALTHCHECK --interval=5m CMD x',
      'HEALTHCHECK {Test:[CMD-SHELL x] Interval:5m0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}',
    ],
  ])('%s', async (instruction, entry) => {
    expect(await historyOf(instruction)).toEqual([entry]);
    // Names of instructions are written in capitals, whatever stands in the file.
    expect(await historyOf(instruction.replace(/^\w+/, (name) => name.toLowerCase()))).toEqual([entry]);
  });

  test('RUN lists the arguments in scope, in the order of their declaration, with the values it sees', async () => {
    const text = 'ARG B=1\nARG A\nARG NONE\nENV E=e\nRUN x\nARG B=2\nENV A=env\nRUN ["y"]';
    expect((await historyOf(text, { A: 'given' })).filter((line) => line.startsWith('*'))).toEqual([
      '* RUN |3 B=1 A=given NONE= /bin/sh -c x # buildkit',
      '* RUN |3 B=2 A=env NONE= y # buildkit',
    ]);
    const { history } = await imageOf('FROM scratch AS a\nARG X=1\nFROM a\nRUN x');
    expect(history.at(-1)).toBe('* RUN |1 X=1 /bin/sh -c x # buildkit');
  });

  test.each([
    ['plain é ü 日本 😀', '"plain é ü 日本 😀"'],
    ['"\\', String.raw`"\"\\"`],
    ['\u0007\b\f\n\r\t\v', String.raw`"\a\b\f\n\r\t\v"`],
    ['\u0000\u001b\u007f', String.raw`"\x00\x1b\x7f"`],
    ['\u0085\u00a0\u00ad\u2028\ufeff', String.raw`"\u0085\u00a0\u00ad\u2028\ufeff"`],
    ['\u{e0001}\u{10ffff}', String.raw`"\U000e0001\U0010ffff"`],
  ])('%j is quoted as Go does', (text, quoted) => {
    expect(goQuote(text)).toBe(quoted);
  });

  test('every entry has its comment; those without a layer say so', async () => {
    const { images } = await lowerText('FROM scratch\nENV A=1\nCOPY a /\nWORKDIR /\nWORKDIR /w');
    const vertex = expect.stringMatching(/^sha256:/) as string;
    const comment = 'buildkit.dockerfile.v0';
    const entries = images[0]?.history ?? [];
    expect(entries.map((entry) => ({ ...entry, source: undefined }))).toEqual([
      { created_by: 'ENV A=1', comment, empty_layer: true },
      { created_by: 'COPY a / # buildkit', comment, vertex },
      { created_by: 'WORKDIR /', comment, empty_layer: true },
      { created_by: 'WORKDIR /w', comment, vertex },
    ]);
  });

  test('every entry knows its line, those of other stages and of triggers too', async () => {
    const { images } = await lowerText('FROM scratch AS a\nENV A=1\nFROM a\nWORKDIR /w\nLABEL \\\n  b=1');
    expect(images[0]?.history.map(({ source }) => source?.range.start.line)).toEqual([2, 4, 5]);
  });
});

describe('L-CFG-1: the platform in the config', () => {
  const step = digestOf('a step');
  const config = (platform: Platform): ReturnType<typeof imageConfig> =>
    imageConfig(
      {
        platform,
        vertex: step,
        config: { config: {} },
        baseHistory: [],
        history: [{ created_by: 'RUN x', vertex: step }],
      },
      [{ layer: { knownDiffId: digestOf('layer') } as StoredLayer }],
      0,
    );

  test('has the variant, os.version and os.features, and none that is not known', () => {
    expect(
      config({
        os: 'linux',
        architecture: 'arm',
        variant: 'v7',
        'os.version': '1',
        'os.features': ['a', 'b'],
      }),
    ).toMatchObject({
      os: 'linux',
      architecture: 'arm',
      variant: 'v7',
      'os.version': '1',
      'os.features': ['a', 'b'],
    });
    expect(Object.keys(config(amd64)).toSorted()).toEqual([
      'architecture',
      'config',
      'created',
      'history',
      'os',
      'rootfs',
    ]);
  });

  const alpine = 'docker.io/library/alpine:latest';
  const detailed = {
    [alpine]: { architecture: 'arm', variant: 'v7', 'os.version': '1', 'os.features': ['a'] },
  };
  const arm: Platform = { os: 'linux', architecture: 'arm', variant: 'v7' };

  test('the details of the base stay where the processor is the one asked for', async () => {
    const kept = { ...arm, 'os.version': '1', 'os.features': ['a'] };
    const asked = { bases: detailed, platform: arm, platformIsExplicit: true };
    expect((await imageOf('FROM alpine', asked)).platform).toEqual(kept);
    expect((await imageOf('FROM alpine', { bases: detailed, runsHere: () => true })).platform).toEqual(kept);
    const v6 = { ...arm, variant: 'v6' };
    expect((await imageOf('FROM alpine', { ...asked, platform: v6 })).platform).toEqual({
      ...kept,
      variant: 'v6',
    });
    expect((await imageOf('FROM alpine', { ...asked, platform: amd64 })).platform).toEqual(amd64);
  });

  test('an empty image is for the platform asked for, with all its details', async () => {
    const platform = { ...arm, 'os.version': '2', 'os.features': ['x'] };
    expect((await imageOf('FROM scratch', { platform, platformIsExplicit: true })).platform).toEqual(
      platform,
    );
    expect((await imageOf('FROM scratch', { platform })).platform).toEqual(platform);
  });
});

let work: TempFolder;
beforeAll(async () => {
  work = await tempFolder('history');
  mkdirSync(join(work.path, 'context'));
  writeFileSync(join(work.path, 'context', 'file'), 'content');
});
afterAll(() => work[Symbol.asyncDispose]());

async function imageHere(text: string, name: string, options: BuildOptions = {}): Promise<ImageDetails> {
  const root = join(work.path, 'store');
  await build({
    context: join(work.path, 'context'),
    dockerfile: { text },
    root,
    env: {},
    platform: 'linux/amd64',
    tags: [name],
    ...options,
  });
  return inspectImage({ root, image: name });
}

describe('L-CFG-1: the config of a built image', () => {
  const everything = `FROM scratch
MAINTAINER me
ARG A=1
ENV K=V
LABEL z=1 a=2
WORKDIR /w
COPY file .
ADD file /added
USER 1:2
EXPOSE 80 7-8/udp
VOLUME /v
STOPSIGNAL SIGINT
SHELL ["/bin/ash", "-c"]
HEALTHCHECK --interval=1s --retries=2 CMD check
ONBUILD RUN x
ENTRYPOINT ["/e"]
CMD run it
`;

  test('has all that was said, Docker’s keys among them, and a layer for each entry that has one', async () => {
    const { config } = await imageHere(everything, 'all', { sourceDateEpoch: 86_400 });
    const created = '1970-01-02T00:00:00.000Z';
    expect({ ...config, rootfs: undefined, history: undefined }).toEqual({
      created,
      author: 'me',
      architecture: 'amd64',
      os: 'linux',
      config: {
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'K=V'],
        WorkingDir: '/w',
        Labels: { a: '2', z: '1' },
        User: '1:2',
        ExposedPorts: { '7/udp': {}, '8/udp': {}, '80/tcp': {} },
        Volumes: { '/v': {} },
        StopSignal: 'SIGINT',
        Shell: ['/bin/ash', '-c'],
        Healthcheck: { Test: ['CMD-SHELL', 'check'], Interval: 1e9, Retries: 2 },
        OnBuild: ['RUN x'],
        Entrypoint: ['/e'],
        Cmd: ['/bin/ash', '-c', 'run it'],
        ArgsEscaped: true,
      },
      rootfs: undefined,
      history: undefined,
    });
    expect(config.rootfs).toEqual({
      type: 'layers',
      diff_ids: Array.from({ length: 3 }, () => expect.stringMatching(/^sha256:/) as string),
    });
    expect(config.history).toHaveLength(15);
    expect(
      config.history?.filter((entry) => entry.empty_layer !== true).map((entry) => entry.created_by),
    ).toEqual(['WORKDIR /w', 'COPY file . # buildkit', 'ADD file /added # buildkit']);
    for (const entry of config.history ?? []) {
      expect(entry).toMatchObject({ created, comment: 'buildkit.dockerfile.v0' });
    }
  });

  test('created is the time of the build; when all is cached, that of the first one', async () => {
    const before = new Date().toISOString();
    const first = await imageHere('FROM scratch\nCOPY file /now\nENV A=1', 'now');
    expect((first.config.created ?? '') >= before).toBe(true);
    expect(first.config.history?.map((entry) => entry.created)).toEqual([
      first.config.created,
      first.config.created,
    ]);
    const again = await imageHere('FROM scratch\nCOPY file /now\nENV A=1', 'again');
    expect(again.digest).toBe(first.digest);
  });

  test('a label of the command line is no entry of the history', async () => {
    const { config } = await imageHere('FROM scratch\nLABEL a=file', 'labelled', {
      labels: { a: 'flag', b: '' },
    });
    expect(config.config?.Labels).toEqual({ a: 'flag', b: '' });
    expect(config.history?.map((entry) => entry.created_by)).toEqual(['LABEL a=file']);
  });

  test('the same file gives the same digest in another store', async () => {
    const one = await imageHere(everything, 'one', { sourceDateEpoch: 0 });
    await using other = await tempFolder('history-2');
    const root = join(other.path, 'store');
    await build({
      context: join(work.path, 'context'),
      dockerfile: { text: everything },
      root,
      env: {},
      platform: 'linux/amd64',
      sourceDateEpoch: 0,
      tags: ['two'],
    });
    expect((await inspectImage({ root, image: 'two' })).digest).toBe(one.digest);
  });
});

describe('Z-6: media types', () => {
  const typesOf = async (options: BuildOptions): Promise<readonly string[]> => {
    const dest = join(work.path, `out-${Math.random()}`);
    const output = { type: 'oci', dest, tar: false, ...options.outputs?.[0] } as const;
    await build({
      context: join(work.path, 'context'),
      dockerfile: { text: 'FROM scratch\nCOPY file /' },
      root: join(work.path, 'store'),
      env: {},
      outputs: [output],
    });
    const manifest = await (await openLayoutImage(dest)).manifest();
    return [manifest.mediaType ?? '', manifest.config.mediaType, manifest.layers[0]?.mediaType ?? ''];
  };

  test('are OCI’s by default, and Docker’s when asked for', async () => {
    expect(await typesOf({})).toEqual([
      'application/vnd.oci.image.manifest.v1+json',
      'application/vnd.oci.image.config.v1+json',
      'application/vnd.oci.image.layer.v1.tar+gzip',
    ]);
    expect(await typesOf({ outputs: [{ type: 'oci', ociMediaTypes: false }] })).toEqual([
      'application/vnd.docker.distribution.manifest.v2+json',
      'application/vnd.docker.container.image.v1+json',
      'application/vnd.docker.image.rootfs.diff.tar.gzip',
    ]);
  });
});
