import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseDockerfile } from '../../src/frontend/parse.ts';
import { BuildError } from '../../src/util/build-error.ts';
import type { CliResult } from '../cli/fake-context.ts';
import { startHttpServer } from '../support/http-server.ts';
import { projectRoot } from '../support/paths.ts';
import { checkCases } from './check-cases.ts';
import type { CheckStore } from './check-store.ts';
import { checkStore } from './check-store.ts';
import { lowerText } from './lowered.ts';

let store: CheckStore;
beforeAll(async () => {
  store = await checkStore();
});
afterAll(() => store[Symbol.asyncDispose]());

describe('check --fix writes', () => {
  const ask = (argv: readonly string[], input?: string): Promise<CliResult> =>
    store.run(['check', '--fix', ...argv], input);

  test('in place, keeps all other bytes, and tells what is left', async () => {
    const context = store.contextOf(
      '\uFEFF# syntax=docker/dockerfile:1\r\nFROM scratch as  One\r\n\r\n# kept  \r\nlabel a  b c\r\nMAINTAINER x',
    );
    const { status, stdout } = await ask([context]);
    expect(readFileSync(join(context, 'Dockerfile'), 'utf8')).toBe(
      '\uFEFF# syntax=docker/dockerfile:1\r\nFROM scratch AS  one\r\n\r\n# kept  \r\nLABEL a="b c"\r\nMAINTAINER x',
    );
    expect(status).toBe(1);
    expect(stdout).toContain(
      'fixed LegacyKeyValueFormat: `LABEL key value` should be `LABEL key=value` (line 5)',
    );
    expect(stdout).toContain('Check complete, 1 warning found.');
    expect(readdirSync(context)).toEqual(['Dockerfile']);
  });

  test('nothing with --dry-run, which tells what would be changed and ends with status 1', async () => {
    const text = 'FROM scratch as x\nCMD ["a"]\nCMD b\n';
    const context = store.contextOf(text);
    const { status, stdout, stderr } = await ask(['--dry-run', context]);
    expect(stdout).toContain('would fix FromAsCasing: `as` and `FROM` differ in casing (line 1)');
    // What is left stands where it stands, not where it would.
    expect(stdout).toContain('3 │ CMD b');
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
    expect(readFileSync(join(context, 'Dockerfile'), 'utf8')).toBe(text);
    expect(await ask(['--dry-run', '-f', '-', context], text)).toMatchObject({ status: 1, stdout });
    expect(await ask(['--dry-run', store.contextOf('FROM scratch\n')])).toMatchObject({ status: 0 });
    expect(await ask(['--dry-run', store.contextOf('FROM scratch as x\n')])).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/\nCheck complete, 1 warning found\.\n$/) as string,
    });
    expect(await store.run(['check', '--dry-run', context])).toMatchObject({ status: 2 });
  });

  test('and tells in JSON what it was, in the text as it was', async () => {
    const text = 'FROM scratch\nCMD ["a"]\nCMD ["b"]\nMAINTAINER x\n';
    const { stdout } = await ask(['--format=json', store.contextOf(text)]);
    const { sources, warnings, fixed } = JSON.parse(stdout) as Record<
      'sources' | 'warnings' | 'fixed',
      { data: string; location: { sourceIndex: number; ranges: { start: { line: number } }[] } }[]
    >;
    const shown = ({ location }: (typeof fixed)[number]): string | undefined =>
      Buffer.from(sources[location.sourceIndex]?.data ?? '', 'base64')
        .toString()
        .split('\n')[(location.ranges[0]?.start.line ?? 0) - 1];
    expect(warnings.map(shown)).toEqual(['MAINTAINER x']);
    expect(fixed.map(shown)).toEqual(['CMD ["a"]']);
  });

  test('the file behind a link, with its mode whatever the umask', async () => {
    const context = store.contextOf('FROM scratch as x\n');
    mkdirSync(join(context, 'docker'));
    const file = join(context, 'docker/App.Dockerfile');
    writeFileSync(file, 'FROM scratch as x\n');
    chmodSync(file, 0o666);
    symlinkSync('docker/App.Dockerfile', join(context, 'Link'));
    // In its context, and outside of another one.
    for (const each of [context, store.contextOf('FROM scratch\n')]) {
      writeFileSync(file, 'FROM scratch as x\n');
      expect(await ask(['-f', join(context, 'Link'), each])).toMatchObject({ status: 0 });
      expect(readFileSync(file, 'utf8')).toBe('FROM scratch AS x\n');
      expect(statSync(file).mode & 0o777).toBe(0o666);
    }
    expect(readdirSync(context).toSorted()).toEqual(['Dockerfile', 'Link', 'docker']);
    expect(readFileSync(join(context, 'Dockerfile'), 'utf8')).toBe('FROM scratch as x\n');
  });

  test.runIf(process.getuid?.() === 0)("as root, and the file stays its owner's", async () => {
    const context = store.contextOf('FROM scratch as x\n');
    const file = join(context, 'Dockerfile');
    chownSync(file, 1234, 4321);
    expect(await ask([context])).toMatchObject({ status: 0 });
    expect(statSync(file)).toMatchObject({ uid: 1234, gid: 4321 });
  });

  test('no file of other bytes than UTF-8', async () => {
    const bytes = Buffer.from('FROM scratch as x\n# caf\xE9\n', 'latin1');
    const context = store.contextOf(bytes);
    const { status, stderr } = await ask([context]);
    expect(status).toBe(1);
    expect(stderr).toContain('error[OUTPUT_FAILED]');
    expect(stderr).toContain('it is not the UTF-8 text that was checked');
    expect(readFileSync(join(context, 'Dockerfile')).equals(bytes)).toBe(true);
  });

  test('a text that came from elsewhere to stdout, and never over a file of the same name', async () => {
    const fixed = { status: 0, stdout: 'from scratch as x\n' };
    const local = store.contextOf('FROM scratch as Local\n');
    const result = await ask(['-f', '-', local], 'from scratch AS x\n');
    expect(result).toMatchObject(fixed);
    expect(result.stderr).toContain('no warnings found');
    expect(await ask(['-'], 'from scratch AS x\n')).toMatchObject(fixed);
    await using server = await startHttpServer((_, response) => response.end('from scratch AS x\n'));
    expect(await ask([`http://${server.host}/Dockerfile`])).toMatchObject(fixed);
    expect(await ask(['-f', `http://${server.host}/Dockerfile`, local])).toMatchObject(fixed);
    expect(readFileSync(join(local, 'Dockerfile'), 'utf8')).toBe('FROM scratch as Local\n');
  });

  test('nothing where there is no file, which is told as by a build', async () => {
    const context = store.contextOf('FROM scratch\n');
    const missing = await ask(['-f', join(context, 'Dokcerfile'), context]);
    expect(missing.stderr).toMatch(/DOCKERFILE_NOT_FOUND[^]*there is `.*\/Dockerfile`/);
  });

  test('no faulty file', async () => {
    const context = store.contextOf('FROM scratch as x\nRNU\n');
    const { status, stdout } = await ask([context]);
    expect(status).toBe(1);
    expect(stdout).toContain('Nothing was fixed: correct the errors first.');
    expect(readFileSync(join(context, 'Dockerfile'), 'utf8')).toBe('FROM scratch as x\nRNU\n');
  });
});

describe('check --fix changes neither graph nor config, and a second time nothing', () => {
  const base = {
    os: 'linux',
    architecture: 'amd64',
    rootfs: { type: 'layers' as const, diff_ids: [] },
    config: { Cmd: ['base'], Env: ['KNOWN=1'] },
  };

  /** What a build makes of a text, without history, which shows the text itself; the faults of one that cannot be built. */
  async function outcome(text: string): Promise<unknown> {
    const file = parseDockerfile({ name: 'Dockerfile', text });
    const results = [];
    for (const { index } of file.stages.length === 0 ? [{ index: 0 }] : file.stages) {
      try {
        const { definition, images } = await lowerText(text, {
          target: String(index),
          buildArgs: { BUILDKIT_DOCKERFILE_CHECK: 'skip=all' },
          resolveImage: (reference, platform) =>
            Promise.resolve({ reference, digest: `sha256:${'0'.repeat(64)}`, platform, config: base }),
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
    const before = await store.check(text);
    const first = await store.check(text, { fix: true });
    const once = first.source.text;
    expect(first.fixed?.before.source.text ?? once).toBe(text);
    const again = await store.check(once, { fix: true });
    expect(again.fixed, once).toBeUndefined();
    expect(await outcome(once), once).toEqual(await outcome(text));
    expect(again.errors.map(({ code }) => code)).toEqual(before.errors.map(({ code }) => code));
    // No rule finds more than it did.
    const count = (rule: string, { findings }: typeof before): number =>
      findings.filter((item) => item.rule === rule).length;
    for (const rule of Object.keys(checkCases))
      expect(count(rule, again), `${rule}\n${text}\n${once}`).toBeLessThanOrEqual(count(rule, before));
  }

  const pieces = [
    'FROM scratch as X',
    'from scratch AS y',
    'From x AS Z',
    'FROM X',
    'COPY --from=X a /',
    'RUN --mount=from=X,target=/x --mount=type=cache,target=/c,From=Z c',
    'FROM --platform=$TARGETPLATFORM alpine',
    'FROM --platform=$TARGETPLATFORM \\\n alpine as q',
    'CMD a',
    'cmd ["b"]',
    'ENTRYPOINT ["c"]',
    'ENTRYPOINT d',
    'HEALTHCHECK NONE',
    'HEALTHCHECK CMD x \\\n\n y',
    '# about',
    '# P the port',
    '# check=skip=MultipleInstructionsDisallowed',
    '# check=experimental=all',
    'ENV a b  c',
    'env k "q r" \'s t\' $a',
    'LABEL l m\\ n o',
    'LABEL x=1 \\\n\n  # in\n\n y=2',
    'ENV v \\\n w',
    'ENV bs \\$x y',
    'ENV tab a\tb',
    'ENV e ',
    'LABEL q it\'s "o\\" k" ${KNOWN:-a b}',
    'EXPOSE 80/TCP 127.0.0.1:1:2/UDP',
    'expose 8080:80',
    'EXPOSE $P/TCP',
    'EXPOSE "81/TCP" 8\\\n2/TCP',
    'ARG P=1',
    'MAINTAINER m',
    'RUN <<E\nCMD x\n\nE',
    'RUN <<E\n# check=skip=all\nENV a b\n\\\n\nE',
    'COPY <<A <<"B" /\nCMD x\nA\nfrom X as Y\n\nB',
    'Run x',
    'WORKDIR w',
    'SHELL ["s"]',
    'ONBUILD CMD x',
    'onbuild env a b',
    '',
  ];

  test('for files of pieces that rules find', async () => {
    const file = fc.tuple(
      fc.constantFrom(
        '',
        '# escape=`\n',
        '# check=error=true\n',
        '# check=skip=StageNameCasing\n',
        '\uFEFF',
        'arg G=1\n',
      ),
      fc.array(fc.constantFrom(...pieces), { maxLength: 12 }),
      fc.constantFrom('\n', '\r\n'),
      fc.boolean(),
    );
    await fc.assert(
      fc.asyncProperty(file, async ([head, lines, end, last]) => {
        await fixLaw(`${head}FROM alpine\n${lines.join('\n')}${last ? '\n' : ''}`.replaceAll('\n', end));
      }),
      { numRuns: 400 },
    );
  }, 60_000);

  const golden = join(projectRoot, 'golden');
  const files = ['parse', 'frontend', 'well-known'].flatMap((folder) =>
    readdirSync(join(golden, folder), { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [`${folder}/${entry.name}`] : [],
    ),
  );
  test.each(files)('for %s', (name) => fixLaw(readFileSync(join(golden, name, 'Dockerfile'), 'utf8')));

  test.each(Object.entries(checkCases))('for the cases of %s', async (_, { fires, quiet }) => {
    for (const text of [...fires, ...quiet]) await fixLaw(text);
  });
});
