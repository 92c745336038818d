import { execFileSync } from 'node:child_process';
import { createReadStream, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GitServer } from '../support/git-server.ts';
import { startGitServer } from '../support/git-server.ts';
import type { HttpServer } from '../support/http-server.ts';
import { startHttpServer } from '../support/http-server.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import type { Builds } from './remote-builds.ts';
import { buildsBelow, sha } from './remote-builds.ts';

const text = 'FROM scratch\nCOPY . /c/\n';
let work: TempFolder;
let builds: Builds;
let http: HttpServer;
let git: GitServer;

beforeAll(async () => {
  work = await tempFolder('remote');
  builds = buildsBelow(work.path);
  const folder = join(work.path, 'files');
  mkdirSync(join(folder, 'sub'), { recursive: true });
  writeFileSync(join(folder, 'Dockerfile'), text);
  writeFileSync(join(folder, 'other'), 'FROM scratch\nCOPY file /other\n');
  writeFileSync(join(folder, '.dockerignore'), 'file\n');
  writeFileSync(join(folder, 'file'), 'content');
  writeFileSync(join(folder, 'sub/Dockerfile'), 'FROM scratch\nCOPY Dockerfile /sub\n');
  for (const [name, flag] of [
    ['plain', '-cf'],
    ['gz', '-czf'],
    ['xz', '-cJf'],
    ['bz2', '-cjf'],
  ] as const)
    execFileSync('tar', [flag, join(work.path, `context.${name}`), '-C', folder, '.']);
  writeFileSync(join(work.path, 'bare'), 'FROM scratch\nWORKDIR /bare\n');
  writeFileSync(join(work.path, 'noise'), Buffer.from([0, 1, 2, 3, 0]));
  http = await startHttpServer((request, response) => {
    const name = (request.url ?? '').slice(1).replace(/\?.*/, '');
    if (name === 'none') response.writeHead(404).end();
    else createReadStream(join(work.path, name)).pipe(response);
  });
  git = await startGitServer(join(work.path, 'git'));
  git.commit('app', (tree) => execFileSync('cp', ['-rT', folder, tree]));
});
afterAll(async () => {
  await http[Symbol.asyncDispose]();
  await git[Symbol.asyncDispose]();
  await work[Symbol.asyncDispose]();
});

const names = async (...args: Parameters<Builds['run']>): Promise<readonly string[]> =>
  Object.keys((await builds.run(...args)).contents);

describe('a context from elsewhere', () => {
  test.each(['plain', 'gz', 'xz', 'bz2'])(
    'L-IGN-1: a tar archive by URL, known by its content: %s',
    async (name) => {
      const found = await builds.run('', { context: `http://${http.host}/context.${name}?x=1` });
      // No ignore file counts in a context from elsewhere.
      expect(found.contents['c/file']).toBe(sha('content'));
      expect(found.lines).toContain('file 644 0:0 c/sub/Dockerfile');
    },
  );

  test('a bare Dockerfile by URL has no context', async () => {
    const { lines } = await builds.run('', { context: `http://${http.host}/bare` });
    expect(lines).toEqual(['directory 755 0:0 bare']);
  });

  test('a repository, a part of it, and a Dockerfile in it', async () => {
    const context = `${git.url}/app.git`;
    expect(await names('', { context })).toContain('c/file');
    expect(await names('', { context: `${context}#main:sub` })).toEqual(['sub']);
    expect(await names('', { context: `${context}?subdir=sub` })).toEqual(['sub']);
    expect(await names('', { context, dockerfile: 'other' })).toEqual(['other']);
    // No path leads out of it.
    expect(await names('', { context, dockerfile: '../../other' })).toEqual(['other']);
  });

  test('a Dockerfile given apart reads the context from elsewhere', async () => {
    expect(await names('FROM scratch\nCOPY file /here\n', { context: `${git.url}/app.git` })).toEqual([
      'here',
    ]);
  });

  test('--build-context by git and by URL', async () => {
    const buildContexts = { repo: `${git.url}/app.git#main:sub`, tar: `http://${http.host}/context.gz` };
    const dockerfile = 'FROM scratch\nCOPY --from=repo Dockerfile /repo\nCOPY --from=tar file /tar\n';
    expect(await names(dockerfile, { buildContexts })).toEqual(['repo', 'tar']);
  });

  test.each([
    ['none', 'DOWNLOAD_FAILED', 'status 404'],
    ['noise', 'CONTEXT_INVALID', 'neither a tar archive nor a Dockerfile'],
  ])('%s says what was wrong', async (name, code, message) => {
    await expect(builds.run('', { context: `http://${http.host}/${name}` })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as unknown,
    });
  });

  test('a repository that is not there, and a ref that is not', async () => {
    await expect(builds.run('', { context: `${git.url}/none.git` })).rejects.toMatchObject({
      code: 'GIT_FAILED',
    });
    await expect(builds.run('', { context: `${git.url}/app.git#none` })).rejects.toMatchObject({
      code: 'GIT_FAILED',
    });
    await expect(builds.run('', { context: `${git.url}/app.git?what=1` })).rejects.toMatchObject({
      code: 'CONTEXT_INVALID',
    });
  });
});
