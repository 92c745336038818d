import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as library from '../../src/index.ts';
import { runCli } from '../cli/fake-context.ts';
import type { CliResult } from '../cli/fake-context.ts';
import { expectGolden } from '../support/golden.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';

const dockerfile = `# GO the version of Go
ARG GO=1.22
ARG DISTRO=bookworm
ARG BASE=golang:$GO-$DISTRO
ARG UNUSED=x
# build compiles the program
FROM --platform=$BUILDPLATFORM $BASE AS build
# VERSION what the program says of itself
ARG VERSION=dev-$GO OTHER
ARG TARGETARCH
RUN --mount=type=secret,id=npmrc,required --mount=type=ssh make
RUN --mount=type=secret,id=npmrc --mount=type=secret,id=token,env=TOKEN make more

# about nothing here
FROM build AS lint
ARG LINTER=fast
RUN --mount=type=ssh,id=deploy,required lint

# app is the image that people run
FROM --platform=linux/arm64 scratch AS App
# VERSIONS is not this name
ARG VERSION
ARG GO
COPY --from=build /x /
# check=error=true
# this describes nobody
FROM app
ENV password=x
`;

let work: TempFolder;
let context: string;
beforeAll(async () => {
  work = await tempFolder('calls');
  context = join(work.path, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), dockerfile);
});
afterAll(() => work[Symbol.asyncDispose]());

function ask(...argv: string[]): Promise<CliResult> {
  return runCli(['--root', join(work.path, 'store'), '--platform', 'linux/amd64', ...argv, context], {
    library,
  });
}

async function answer(...argv: string[]): Promise<string> {
  const { status, stdout, stderr } = await ask(...argv);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

test('I-1: the outline has the arguments, secrets and ssh agents that reach the target, and no others', async () => {
  expectGolden(
    'calls/outline.txt',
    [
      await answer('--call=outline', '--target', 'build'),
      await answer(
        '--call=outline',
        '--target',
        'lint',
        '--build-arg',
        'GO=1.23',
        '--build-arg',
        'OTHER=given',
      ),
      await answer('--call=outline', '--target', 'app'),
      await answer('--call=outline'),
    ].join('----\n'),
  );
});

test('I-1: no base image is asked for, and nothing is built', async () => {
  const events: library.ProgressEvent[] = [];
  const found = await library.outline({
    context,
    root: join(work.path, 'store'),
    target: 'build',
    onEvent: (event) => events.push(event),
  });
  expect(found.args.map(({ name }) => name)).toEqual([
    'GO',
    'DISTRO',
    'BASE',
    'VERSION',
    'OTHER',
    'TARGETARCH',
  ]);
  expect(events).toEqual([]);
});

test('I-2: the targets are the named stages and the last one', async () => {
  expectGolden('calls/targets.txt', await answer('--call=targets'));
  expectGolden('calls/targets.json', await answer('--call=targets,format=json'));
});

test('I-4: the calls describe themselves', async () => {
  const described = JSON.parse(await answer('--call=subrequests.describe,format=json')) as { name: string }[];
  for (const { name } of described) expect((await ask(`--call=${name}`)).stderr).not.toContain('--call');
  const names = described.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(['outline', 'targets', 'subrequests.describe']));
  const text = await answer('--call=subrequests.describe');
  for (const name of names) expect(text).toMatch(new RegExp(`^${name.replace('.', '\\.')} +\\d`, 'm'));
});

test('I-5: each call is text, or JSON where asked for', async () => {
  expect(await answer('--call=outline,format=text', '--target=app')).toBe(
    await answer('--call=outline', '--target=app'),
  );
  expectGolden('calls/outline.json', await answer('--call=outline,format=json', '--target=build'));
  const wrong = await ask('--call=outline,format=xml');
  expect(wrong).toMatchObject({ status: 2, stdout: '' });
  expect(wrong.stderr).toContain('format=json');
  const unknown = await ask('--call=outlin');
  expect(unknown.status).toBe(2);
  expect(unknown.stderr).toContain('did you mean `outline`?');
});

test('I-6: a comment describes the name that it begins with', async () => {
  const { targets } = await library.listStages({ context, root: join(work.path, 'store') });
  expect(targets.map(({ name, description }) => [name, description])).toEqual([
    ['build', 'compiles the program'],
    ['lint', undefined],
    ['app', 'is the image that people run'],
    [undefined, undefined],
  ]);
  const { args, description } = await library.outline({
    context,
    root: join(work.path, 'store'),
    target: 'app',
  });
  expect(description).toBe('is the image that people run');
  expect(Object.fromEntries(args.map((arg) => [arg.name, arg.description]))).toMatchObject({
    GO: 'the version of Go',
    VERSION: 'what the program says of itself',
    TARGETARCH: undefined,
  });
});

test('an unknown target and a faulty file are told as a build tells them', async () => {
  const unknown = await ask('--call=outline', '--target', 'biuld');
  expect(unknown.stderr).toContain('did you mean `build`');
  expect(unknown.status).toBe(1);
  writeFileSync(join(work.path, 'bad'), 'FROM scratch\nRNU x\nEXPOES 1\n');
  const faulty = await ask('--call=targets', '-f', join(work.path, 'bad'));
  expect(faulty.stderr).toContain('did you mean `RUN`');
  expect(faulty.stderr).toContain('did you mean `EXPOSE`');
});
