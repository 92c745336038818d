import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BuildOptions, ProgressEvent } from '../../src/index.ts';
import { build, inspectImage } from '../../src/index.ts';
import type { GitServer } from '../support/git-server.ts';
import { startGitServer } from '../support/git-server.ts';
import type { HttpServer } from '../support/http-server.ts';
import { startHttpServer } from '../support/http-server.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';

const seconds = 1_600_000_000;
const text = 'FROM scratch\nCOPY file /\n';
let work: TempFolder;
let http: HttpServer;
let repositories: GitServer;
let context: string;
let archive: string;

beforeAll(async () => {
  work = await tempFolder('epoch');
  context = join(work.path, 'context');
  mkdirSync(context);
  for (const [name, content] of [
    ['Dockerfile', text],
    ['file', 'x'],
  ] as const) {
    writeFileSync(join(context, name), content);
    utimesSync(join(context, name), seconds - 5, seconds - 5);
  }
  utimesSync(join(context, 'file'), seconds, seconds);
  archive = join(work.path, 'context.tar');
  execFileSync('tar', ['-cf', archive, '-C', context, 'Dockerfile', 'file']);
  http = await startHttpServer((request, response) => {
    if (request.url !== '/plain.tar')
      response.setHeader('last-modified', new Date((seconds + 7) * 1000).toUTCString());
    createReadStream(archive).pipe(response);
  });
  repositories = await startGitServer(work.path);
  repositories.commit(
    'app',
    (tree) => {
      writeFileSync(join(tree, 'Dockerfile'), text);
      writeFileSync(join(tree, 'file'), 'x');
      writeFileSync(
        join(tree, 'labels'),
        'FROM scratch\nARG SOURCE_DATE_EPOCH\nLABEL time=$SOURCE_DATE_EPOCH\n',
      );
      writeFileSync(join(tree, 'kept'), 'FROM scratch\nCOPY .git/HEAD /\n');
    },
    { time: seconds + 3 },
  );
});
afterAll(async () => {
  await http[Symbol.asyncDispose]();
  await repositories[Symbol.asyncDispose]();
  await work[Symbol.asyncDispose]();
});

/** `created` of the image, in seconds. */
async function created(options: BuildOptions): Promise<number> {
  const root = join(work.path, 'store');
  await build({ root, env: {}, tags: ['epoch'], ...options });
  const { config } = await inspectImage({ root, image: 'epoch', env: {} });
  return Date.parse(config.created ?? '') / 1000;
}

const wanted = (value: string): BuildOptions => ({ buildArgs: { SOURCE_DATE_EPOCH: value } });

describe('SOURCE_DATE_EPOCH', () => {
  test('L-ARG-10: seconds, from the option, the build arg, the environment, an ARG before FROM, in this order', async () => {
    const file = join(work.path, 'Dockerfile.arg');
    writeFileSync(file, `ARG SOURCE_DATE_EPOCH=40\n${text}`);
    const options: BuildOptions = { context, dockerfile: file, env: { SOURCE_DATE_EPOCH: '30' } };
    expect(await created({ ...options, ...wanted('20'), sourceDateEpoch: 10 })).toBe(10);
    expect(await created({ ...options, ...wanted('20') })).toBe(20);
    expect(await created(options)).toBe(30);
    expect(await created({ ...options, env: {} })).toBe(40);
  });

  test('L-ARG-10: the number is the value of the ARG', async () => {
    const root = join(work.path, 'store');
    const remote = { context: `${repositories.url}/app.git`, dockerfile: 'labels' };
    await build({ root, env: {}, tags: ['label'], ...remote, ...wanted('context') });
    const { config } = await inspectImage({ root, image: 'label', env: {} });
    expect(config.config?.Labels).toEqual({ time: String(seconds + 3) });
  });

  test('L-ARG-10: `context` is the newest file of an archive, Last-Modified, or the commit', async () => {
    expect(await created({ context: { stream: createReadStream(archive) }, ...wanted('context') })).toBe(
      seconds,
    );
    expect(await created({ context: `http://${http.host}/plain.tar`, ...wanted('context') })).toBe(seconds);
    expect(await created({ context: `http://${http.host}/dated.tar`, ...wanted('context') })).toBe(
      seconds + 7,
    );
    expect(await created({ context: `${repositories.url}/app.git`, ...wanted('context') })).toBe(seconds + 3);
  });

  test('L-ARG-10: a local directory has no time of its own', async () => {
    const before = Math.floor(Date.now() / 1000) - 1;
    expect(await created({ context, ...wanted('context'), noCache: true })).toBeGreaterThanOrEqual(before);
  });

  test('L-ARG-10: the name of a build context', async () => {
    const buildContexts = { src: `${repositories.url}/app.git` };
    const rules: string[] = [];
    const onEvent = (event: ProgressEvent): void => {
      if (event.type === 'diagnostic') rules.push(event.diagnostic.rule);
    };
    expect(await created({ context, buildContexts, onEvent, ...wanted('src') })).toBe(seconds + 3);
    expect(rules).not.toContain('UnusedBuildContext');
    await created({ context, buildContexts, onEvent, ...wanted('0') });
    expect(rules).toContain('UnusedBuildContext');
  });

  test('L-ARG-10: a stage FROM scratch with one remote ADD', async () => {
    const file = join(work.path, 'Dockerfile.stage');
    writeFileSync(
      file,
      `ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD ${repositories.url}/app.git /\nFROM scratch AS web\nADD http://${http.host}/dated.tar /\nFROM scratch AS two\nADD a /\nADD b /\n${text}`,
    );
    expect(await created({ context, dockerfile: file })).toBe(seconds + 3);
    expect(await created({ context, dockerfile: file, ...wanted('web') })).toBe(seconds + 7);
    await expect(created({ context, dockerfile: file, ...wanted('two') })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });

  test.each(['yesterday', '-1', '1e3', '253402300800', '99999999999999'])(
    'L-ARG-10: `%s` is refused before anything runs',
    async (value) => {
      await expect(created({ context, ...wanted(value) })).rejects.toMatchObject({
        code: 'USAGE',
        message: `SOURCE_DATE_EPOCH is \`${value}\`, which is no time`,
      });
    },
  );

  test('L-ARG-9: BUILDKIT_CONTEXT_KEEP_GIT_DIR keeps .git of a remote context, unless its URL says otherwise', async () => {
    const remote = { dockerfile: 'kept', context: `${repositories.url}/app.git` };
    await expect(created(remote)).rejects.toMatchObject({ code: 'COPY_SOURCE_MISSING' });
    const buildArgs = { BUILDKIT_CONTEXT_KEEP_GIT_DIR: '1' };
    await created({ ...remote, buildArgs });
    await expect(
      created({ ...remote, buildArgs, context: `${remote.context}?keep-git-dir=false` }),
    ).rejects.toMatchObject({
      code: 'COPY_SOURCE_MISSING',
    });
  });
});
