import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkoutGit, openCheckout } from '../../src/source/git.ts';
import { readAll } from '../../src/util/streams.ts';
import { startHttpServer } from '../support/http-server.ts';
import { tempFolder } from '../support/temp.ts';

const who = ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'commit.gpgsign=false'];

function makeRepository(folder: string): {
  readonly url: string;
  readonly git: (...args: string[]) => string;
} {
  const path = join(folder, 'repo');
  mkdirSync(join(path, 'sub'), { recursive: true });
  const git = (...args: string[]): string =>
    execFileSync('git', [...who, ...args], {
      cwd: path,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  git('init', '-q', '-b', 'main');
  writeFileSync(join(path, 'file'), 'one');
  writeFileSync(join(path, 'run.sh'), '#!/bin/sh\n', { mode: 0o700 });
  writeFileSync(join(path, 'sub', 'inner'), 'inner');
  symlinkSync('/etc', join(path, 'evil'));
  git('add', '.');
  git('commit', '-q', '-m', 'one');
  git('tag', 'v1');
  writeFileSync(join(path, 'file'), 'two');
  git('commit', '-q', '-a', '-m', 'two');
  return { url: `file://${path}`, git };
}

test('one commit as a tree, by branch, tag and id, without .git and whatever the umask', async () => {
  await using folder = await tempFolder('git');
  const { url, git } = makeRepository(folder.path);
  const options = { tempDir: () => Promise.resolve(folder.path), env: process.env, allowLocal: true };
  const head = git('rev-parse', 'HEAD');
  const old = git('rev-parse', 'v1');
  const before = process.umask(0o077);
  try {
    await using main = await openCheckout({ url }, options);
    expect(main.commit).toBe(head);
    const entries = await Array.fromAsync(main.tree.walk(''));
    expect(entries.map(({ path, mode, uid }) => [path, mode.toString(8), uid])).toEqual([
      ['', '755', 0],
      ['evil', '777', 0],
      ['file', '644', 0],
      ['run.sh', '755', 0],
      ['sub', '755', 0],
      ['sub/inner', '644', 0],
    ]);
    expect(await main.tree.lstat('.git/config')).toBeUndefined();
    for (const ref of ['v1', 'refs/tags/v1', old, old.slice(0, 10)]) {
      await using checkout = await openCheckout({ url, ref }, options);
      const file = await checkout.tree.lstat('file');
      expect((await readAll(file?.content?.() as never, 10)).toString()).toBe('one');
    }
  } finally {
    process.umask(before);
  }
  // Disposing leaves nothing.
  expect(readdirSync(folder.path)).toEqual(['repo']);
});

test('sub directories stay inside, checksums are checked, a missing ref is told', async () => {
  await using folder = await tempFolder('git');
  const { url, git } = makeRepository(folder.path);
  const options = { tempDir: () => Promise.resolve(folder.path), env: process.env, allowLocal: true };
  expect(await (await checkoutGit({ url, subdir: 'sub' }, options)).list('')).toEqual(['inner']);
  // CVE-2026-33748: a link as the sub directory.
  await expect(checkoutGit({ url, subdir: 'evil' }, options)).rejects.toMatchObject({ code: 'GIT_FAILED' });
  await expect(checkoutGit({ url, subdir: '../..', ref: 'none' }, options)).rejects.toMatchObject({
    code: 'GIT_FAILED',
  });
  await expect(checkoutGit({ url, subdir: '.git' }, options)).rejects.toMatchObject({ code: 'GIT_FAILED' });
  await expect(checkoutGit({ url, checksum: '0123456789' }, options)).rejects.toMatchObject({
    code: 'CHECKSUM_MISMATCH',
  });
  const head = git('rev-parse', 'HEAD');
  await expect(checkoutGit({ url, checksum: head.slice(0, 12) }, options)).resolves.toBeDefined();
});

test('local repositories, and what git could take for an option or a command, are refused (S-P-10)', async () => {
  await using folder = await tempFolder('git');
  const { url } = makeRepository(folder.path);
  const options = { tempDir: () => Promise.resolve(folder.path), env: process.env };
  for (const bad of [
    url,
    '/etc',
    folder.path,
    '--upload-pack=touch x',
    'ext::sh -c id',
    'https://-x/y.git',
    'ssh://-oProxyCommand=id/x',
    '-u@host:x',
  ]) {
    await expect(checkoutGit({ url: bad }, options), bad).rejects.toMatchObject({ code: 'GIT_FAILED' });
  }
  expect(readdirSync(folder.path)).toEqual(['repo']);
});

test('ssh that does not come through is told with its reason, not with advice', async () => {
  await using folder = await tempFolder('git');
  const options = { tempDir: () => Promise.resolve(folder.path), env: process.env };
  await expect(checkoutGit({ url: 'ssh://git@127.0.0.1:1/x/y.git' }, options)).rejects.toMatchObject({
    code: 'GIT_FAILED',
    message: expect.stringMatching(/: (?:error: cannot run ssh|ssh: ).*fatal: [^\n]*$/) as string,
  });
});

test('hooks and settings of the user do not run', async () => {
  await using folder = await tempFolder('git');
  const { url } = makeRepository(folder.path);
  const hooks = join(folder.path, 'hooks');
  mkdirSync(hooks);
  writeFileSync(join(hooks, 'post-checkout'), `#!/bin/sh\ntouch ${folder.path}/ran\n`, { mode: 0o755 });
  writeFileSync(join(folder.path, '.gitconfig'), `[core]\n\thooksPath = ${hooks}\n`);
  const env = {
    ...process.env,
    HOME: folder.path,
    GIT_CONFIG_GLOBAL: join(folder.path, '.gitconfig'),
    GIT_TEMPLATE_DIR: folder.path,
  };
  await checkoutGit({ url }, { tempDir: () => Promise.resolve(folder.path), env, allowLocal: true });
  expect(readdirSync(folder.path)).not.toContain('ran');
});

test('a server of plain files gives its whole history, for it has no shallow one', async () => {
  await using folder = await tempFolder('git');
  const { git } = makeRepository(folder.path);
  git('update-server-info');
  await using server = await startHttpServer((request, response) => {
    try {
      const { pathname } = new URL(request.url ?? '/', 'http://host');
      response.end(readFileSync(join(folder.path, 'repo', '.git', pathname)));
    } catch {
      response.writeHead(404).end();
    }
  });
  const options = { tempDir: () => Promise.resolve(folder.path), env: process.env };
  const url = `http://${server.host}/`;
  await using main = await openCheckout({ url }, options);
  expect(main.commit).toBe(git('rev-parse', 'HEAD'));
  await using tag = await openCheckout({ url, ref: 'v1' }, options);
  expect(tag.commit).toBe(git('rev-parse', 'v1'));
  await expect(openCheckout({ url, ref: 'none' }, options)).rejects.toMatchObject({ code: 'GIT_FAILED' });
});

test('a checkout that keeps .git is the same each time', async () => {
  await using folder = await tempFolder('git');
  const { url } = makeRepository(folder.path);
  const options = { tempDir: () => Promise.resolve(folder.path), env: process.env, allowLocal: true };
  const digests = async (): Promise<readonly (readonly [string, string])[]> => {
    await using checkout = await openCheckout({ url, keepGitDir: true }, options);
    const { tree } = checkout;
    const found: [string, string][] = [];
    for await (const { path } of tree.walk('')) found.push([path, await tree.contentDigest(path)]);
    return found;
  };
  const first = await digests();
  expect(first.map(([path]) => path)).toContain('.git/index');
  expect(await digests()).toEqual(first);
});
