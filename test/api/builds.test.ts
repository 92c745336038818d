import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { build, buildLogs, explain, inspectBuild, listBuilds, removeBuilds } from '../../src/index.ts';
import { defaultLimits, newBuildId, pruneBuilds, thisProcess } from '../../src/api/history/build-files.ts';
import { BuildRecorder } from '../../src/api/history/build-recorder.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { VertexEvent } from '../../src/progress/event.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { missProject } from '../support/misses.ts';
import { tempFolder } from '../support/temp.ts';

const project = async () =>
  missProject({ Dockerfile: 'FROM scratch AS base\nCOPY a /a\nCOPY b /b\n', a: '1', b: '1' });

describe('the history', () => {
  test('has each build with its steps, verdicts, reasons and digest', async () => {
    await using it = await project();
    const { root, context } = it;
    expect(await listBuilds({ root })).toEqual([]);
    await it.misses({ tags: ['app'], outputs: undefined });
    it.put('b', '2');
    await it.misses({ target: 'base' });
    const [second, first, ...others] = await listBuilds({ root });
    expect(others).toEqual([]);
    expect(first).toMatchObject({
      ...{ status: 'done', context, dockerfile: 'Dockerfile', names: ['docker.io/library/app:latest'] },
      digest: expect.stringMatching(/^sha256:/),
    });
    expect(second).toMatchObject({ status: 'done', target: 'base' });
    expect(second?.ended).toBeGreaterThanOrEqual(second?.started ?? Infinity);
    const steps = second?.steps.filter(({ key }) => key !== undefined);
    expect(steps).toMatchObject([
      { name: '[base 1/2] COPY a /a', state: 'cached', line: 2, place: 'base/1' },
      {
        ...{ name: '[base 2/2] COPY b /b', state: 'done', line: 3, reason: 'file `b` changed' },
        miss: { kind: 'file', path: 'b' },
      },
    ]);
    expect(await inspectBuild({ root })).toEqual(second);
    expect(await inspectBuild({ root, build: first?.id })).toEqual(first);
    await expect(inspectBuild({ root, build: 'x' })).rejects.toMatchObject({ code: 'BUILD_NOT_FOUND' });
  });

  test('has a build that failed, with its code', async () => {
    await using it = await project();
    it.put('Dockerfile', 'FROM scratch\nCOPY nothing /\n');
    await expect(it.misses()).rejects.toMatchObject({ code: 'COPY_SOURCE_MISSING' });
    expect(await inspectBuild({ root: it.root })).toMatchObject({
      status: 'failed',
      error: { code: 'COPY_SOURCE_MISSING' },
    });
  });

  test('names context and image the same way, however they were given and however it ended', async () => {
    await using it = await project();
    const { root, context } = it;
    const typed = relative('.', context);
    expect(typed).not.toBe(context);
    await build({ context: typed, root, env: {}, outputs: [], tags: ['c:1'] });
    it.put('Dockerfile', 'FROM scratch\nCOPY nothing /\n');
    const failed = build({ context: typed, root, env: {}, outputs: [], tags: ['c:1'] });
    await expect(failed).rejects.toMatchObject({ code: 'COPY_SOURCE_MISSING' });
    expect(await listBuilds({ root })).toMatchObject([
      { status: 'failed', context, names: ['docker.io/library/c:1'] },
      { status: 'done', context, names: ['docker.io/library/c:1'] },
    ]);
  });

  test('tells a build without steps from one that has another', async () => {
    await using it = await project();
    it.put('Dockerfile', 'FROM scratch\nNOPE\n');
    await expect(it.misses()).rejects.toMatchObject({ code: 'DOCKERFILE_UNKNOWN_INSTRUCTION' });
    const { root } = it;
    await expect(explain({ root, step: '1' })).rejects.toMatchObject({
      code: 'BUILD_NOT_FOUND',
      hint: 'it has no steps: it ended before the first, or its Dockerfile has none',
    });
  });

  test('keeps the hint of an error', async () => {
    await using folder = await tempFolder('builds');
    const about = { source: digestOf('x'), context: '/c', dockerfile: 'D', target: undefined, names: [] };
    const recorder = new BuildRecorder(folder.path, about, defaultLimits);
    const hint = 'try the other';
    recorder.end({ error: new BuildError('STEP_FAILED', 'no', { hint }) });
    const { error } = await inspectBuild({ root: folder.path });
    expect(error).toEqual({ code: 'STEP_FAILED', message: 'no', hint });
  });

  test('a build whose process is gone was interrupted; one of this process is running', async () => {
    await using it = await project();
    await it.misses();
    const directory = join(it.root, 'builds');
    const [name = ''] = readdirSync(directory).filter((each) => each.endsWith('.json'));
    const file = join(directory, name);
    const record = JSON.parse(readFileSync(file, 'utf8')) as object;
    const put = (owner: object) =>
      writeFileSync(
        file,
        JSON.stringify({ ...record, status: 'running', owner: { ...thisProcess(), ...owner } }),
      );
    put({});
    expect((await inspectBuild({ root: it.root })).status).toBe('running');
    await expect(removeBuilds({ root: it.root, builds: ['latest'] })).rejects.toThrow('still running');
    put({ start: '1' });
    expect((await inspectBuild({ root: it.root })).status).toBe('interrupted');
    put({ pid: 2 ** 22 + 1 });
    expect((await inspectBuild({ root: it.root })).status).toBe('interrupted');
  });

  test.each([
    ['empty', ''],
    ['cut', '{'],
    ['null', 'null'],
    ['of another shape', '{"version":1,"id":"x","steps":{}}'],
    ['with steps of nothing', '{"version":1,"steps":[null],"started":1,"status":"done"}'],
    ['without an owner', '{"version":1,"id":"ID","steps":[],"started":1,"status":"running"}'],
    ['of zeros', '\0'.repeat(5000)],
  ])('a file that is %s is passed over', async (_name, text) => {
    await using it = await project();
    await it.misses();
    const directory = join(it.root, 'builds');
    const [good = ''] = readdirSync(directory);
    const id = newBuildId(Date.now() + 1000, 0.5);
    writeFileSync(join(directory, `${id}.${good.split('.')[1]}.json`), text.replace('ID', id));
    writeFileSync(join(directory, 'rubbish.json'), text);
    mkdirSync(join(directory, `${newBuildId(Date.now() + 2000, 0.5)}.${good.split('.')[1]}.json`));
    expect((await listBuilds({ root: it.root })).map((each) => each.id)).toEqual([good.split('.')[0]]);
    it.put('a', '2');
    expect((await it.misses())['COPY a /a']?.text).toBe('file `a` changed');
    expect((await explain({ root: it.root })).steps).toHaveLength(2);
  });

  test.each([
    ['a time that is none', { started: 1e300 }],
    ['a status with a sequence for terminals', { status: 'done\u001b[2J' }],
    ['a name that is no text', { names: [5] }],
    ['an error without a code', { error: {} }],
    ['a digest that is none', { digest: 'x' }],
    ['a step in no state', { steps: [{ number: 1, name: 'x' }] }],
  ])('a build with %s is passed over', async (_name, damage) => {
    await using it = await project();
    await it.misses();
    const directory = join(it.root, 'builds');
    const [good = ''] = readdirSync(directory);
    const record = JSON.parse(readFileSync(join(directory, good), 'utf8')) as object;
    const id = newBuildId(Date.now() + 1000, 0.5);
    const other = join(directory, `${id}.${good.split('.')[1]}.json`);
    const ids = async (): Promise<readonly string[]> =>
      (await listBuilds({ root: it.root })).map((each) => each.id);
    writeFileSync(other, JSON.stringify({ ...record, id }));
    expect(await ids()).toContain(id);
    writeFileSync(other, JSON.stringify({ ...record, id, ...damage }));
    expect(await ids()).toEqual([good.split('.')[0]]);
  });

  test('keeps a number of builds for a time, the newest always', async () => {
    await using it = await project();
    const ids = async () => (await listBuilds({ root: it.root })).map(({ id }) => id);
    for (let count = 0; count < 4; count++) await it.misses({ history: { builds: 3, hours: 1 } });
    const all = await ids();
    expect(all).toHaveLength(3);
    await it.misses({ history: false });
    expect(await ids()).toEqual(all);
    pruneBuilds(it.root, { builds: 3, hours: 1 }, Date.now() + 3_700_000);
    expect(await ids()).toEqual(all.slice(0, 1));
    expect(readdirSync(join(it.root, 'builds'))).toHaveLength(1);
    expect(await removeBuilds({ root: it.root })).toEqual(all.slice(0, 1));
    expect(await ids()).toEqual([]);
  });

  test('where it cannot be written a build is as it was', async () => {
    await using it = await project();
    await it.misses();
    await removeBuilds({ root: it.root });
    rmSync(join(it.root, 'builds'), { recursive: true });
    writeFileSync(join(it.root, 'builds'), 'a file');
    expect(await it.misses()).toEqual({});
    expect(await listBuilds({ root: it.root })).toEqual([]);
  });

  test('has no credentials of the context, and no secret', async () => {
    await using it = await project();
    const secret = 'correct-horse-battery';
    it.put('Dockerfile', 'FROM scratch\nCOPY d /d\n');
    const secrets = [{ id: 's', value: Buffer.from(secret) }];
    for (const content of ['1', '2']) {
      it.put(`d/${secret}`, content);
      await it.misses({ secrets, allow: ['secret.leak'] });
    }
    expect((await explain({ root: it.root })).steps[0]?.reason).toBe('file `d/****` changed');
    await expect(
      build({ context: 'https://user:hunter2pass@127.0.0.1:1/x.git', root: it.root, env: {} }),
    ).rejects.toThrow();
    const texts = readdirSync(join(it.root, 'builds')).map((name) =>
      readFileSync(join(it.root, 'builds', name), 'utf8'),
    );
    expect(texts).toHaveLength(3);
    expect(texts.join('')).toContain('****');
    expect(texts.join('')).not.toMatch(/correct-horse|hunter2pass/);
  });
});

describe('explain', () => {
  test('tells of the last build of a context, or of all', async () => {
    await using it = await project();
    await using other = await missProject({ Dockerfile: 'FROM scratch\nCOPY c /\n', c: '' });
    const { root, context } = it;
    await it.misses();
    await other.misses({ root });
    expect((await explain({ root })).steps.map(({ name }) => name)).toEqual(['[1/1] COPY c /']);
    const here = await explain({ root, context });
    expect(here.steps).toMatchObject([
      { verdict: 'run', reason: 'no record of this step' },
      { verdict: 'run' },
    ]);
    expect(here.build).toMatchObject({ context, status: 'done' });
    await expect(explain({ root, context: '/nowhere' })).rejects.toMatchObject({
      code: 'BUILD_NOT_FOUND',
      hint: 'build it first; `tsbuild explain --dry-run .` tells what a build would do',
    });
  });

  test.each([
    ['1', ['COPY a /a']],
    ['2', ['COPY b /b']],
    ['base 2/2', ['COPY b /b']],
    ['[base 1/2]', ['COPY a /a']],
    ['Dockerfile:3', ['COPY b /b']],
    [':2', ['COPY a /a']],
    ['copy', ['COPY a /a', 'COPY b /b']],
    ['/b', ['COPY b /b']],
  ])('takes a step by %s', async (step, names) => {
    await using it = await project();
    await it.misses();
    const found = (await explain({ root: it.root, step })).steps;
    expect(found.map(({ name }) => name.replace(/^\[.*?\] /, ''))).toEqual(names);
    await expect(explain({ root: it.root, step: 'nothing' })).rejects.toMatchObject({
      code: 'BUILD_NOT_FOUND',
      message: expect.stringMatching(/^build \w+ \(Dockerfile in .*\) has no step `nothing`$/),
    });
    await expect(explain({ root: it.root, step: 'Dockerfile:9' })).rejects.toMatchObject({
      hint: 'its steps begin on line 2, 3; the other instructions make none',
    });
  });

  test('numbers have no gaps: a build context has none, and what was not run has one', async () => {
    await using it = await missProject({
      Dockerfile: 'FROM scratch AS base\nCOPY a /a\nADD http://127.0.0.1:1/x /\nCOPY a /b\n',
      a: '',
    });
    const { root, context } = it;
    await expect(build({ root, context, env: {} })).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
    const { steps } = await explain({ root });
    expect(steps.map(({ number }) => number)).toEqual(steps.map((_, index) => index + 1));
    expect(steps.at(-1)).toMatchObject({ verdict: 'waiting', line: 4 });
    expect(steps.map(({ name }) => name)).not.toContain('[internal] load build context');
  });

  test('of a build that has not run: verdicts and reasons are those of the build, and nothing is done', async () => {
    await using it = await project();
    const { root, context } = it;
    const dry = async () => {
      const { build: none, steps } = await explain({ root, context, env: {}, dryRun: true });
      expect(none).toBeUndefined();
      return steps.map(({ verdict, reason, maybe }) => ({
        verdict,
        reason,
        ...(maybe === undefined ? {} : { maybe }),
      }));
    };
    const missing = 'no record of this step';
    expect(await dry()).toEqual([
      { verdict: 'run', reason: missing },
      { verdict: 'run', reason: missing },
    ]);
    expect(readdirSync(join(root, 'blobs/sha256'))).toEqual([]);
    expect(await listBuilds({ root })).toEqual([]);
    await it.misses();
    expect(await dry()).toEqual([{ verdict: 'cached' }, { verdict: 'cached' }]);
    it.put('a', '2');
    const expected = [
      { verdict: 'run', reason: 'file `a` changed' },
      { verdict: 'run', reason: 'a step that it builds on is run: [base 1/2] COPY a /a', maybe: true },
    ];
    expect(await dry()).toEqual(expected);
    expect(await dry()).toEqual(expected);
    const misses = Object.values(await it.misses()).map(({ text }) => text);
    expect(misses).toEqual(expected.map(({ reason }) => reason));
  });
});

describe('hostile', () => {
  test('10,000 steps', { timeout: 120_000 }, async () => {
    const lines = Array.from({ length: 10_000 }, (_, index) => `WORKDIR /w${index % 7}/x`);
    await using it = await missProject({ Dockerfile: `FROM scratch\n${lines.join('\n')}\n` });
    const { root, context } = it;
    const dry = await explain({ root, context, env: {}, dryRun: true });
    expect(dry.steps).toHaveLength(10_000);
    expect(dry.steps.at(-1)).toMatchObject({ verdict: 'run', line: 10_001 });
  });

  test('10,000 events, and output that is kept whole', async () => {
    await using folder = await tempFolder('recorder');
    const root = folder.path;
    const about = { source: digestOf('x'), context: '.', dockerfile: 'D', target: undefined, names: [] };
    const recorder = new BuildRecorder(root, about, defaultLimits);
    const event = (index: number, state: VertexEvent['state']): VertexEvent => ({
      ...{
        type: 'vertex',
        id: digestOf(String(index)),
        name: `[${index}/10000] RUN x`,
        state,
        time: Date.now(),
      },
    });
    const chunk = Buffer.from('0123456789abcdef'.repeat(4096));
    for (let index = 0; index < 10_000; index++) recorder.event(event(index, 'waiting'));
    for (let index = 0; index < 10_000; index++) {
      recorder.event(event(index, 'running'));
      const log = {
        type: 'log',
        id: digestOf(String(index)),
        stream: 'stdout',
        data: chunk,
        time: 0,
      } as const;
      if (index % 1000 === 0) for (let times = 0; times < 20; times++) recorder.event(log);
      recorder.event(event(index, 'done'));
    }
    expect((await inspectBuild({ root })).status).toBe('running');
    recorder.end({ error: new Error('enough') });
    const record = await inspectBuild({ root });
    expect(record).toMatchObject({ status: 'failed', error: { code: 'INTERNAL', message: 'enough' } });
    expect(record.steps).toHaveLength(10_000);
    const [log, ...others] = await buildLogs({ root, step: '1001' });
    expect(others).toEqual([]);
    const parts: Uint8Array[] = [];
    for await (const part of log?.read() ?? []) parts.push(part);
    expect(Buffer.concat(parts).equals(Buffer.concat(Array.from({ length: 20 }, () => chunk)))).toBe(true);
    expect(await buildLogs({ root })).toHaveLength(10);
  });

  test('file names are kept as they are, and only shown without control characters', async () => {
    const name = 'a\x1b]0;title\x07\nb';
    await using it = await missProject({ Dockerfile: 'FROM scratch\nCOPY d /d\n', [`d/${name}`]: '1' });
    await it.misses();
    it.put(`d/${name}`, '2');
    expect((await it.misses())['COPY d /d']?.miss).toMatchObject({ path: `d/${name}` });
    expect(await buildLogs({ root: it.root })).toEqual([]);
  });
});
