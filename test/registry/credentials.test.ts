import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { clientProxies } from '../../src/api/client-proxies.ts';
import { metaHeaders } from '../../src/registry/credential-file.ts';
import { credentialFinder } from '../../src/registry/credentials.ts';
import { login, logout } from '../../src/registry/login.ts';

let home: string;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'credentials-'));
  env = { HOME: home, PATH: `${join(home, 'bin')}:/usr/bin:/bin` };
});
afterEach(() => rm(home, { recursive: true, force: true }));

const auth = (text: string): { auth: string } => ({ auth: Buffer.from(text).toString('base64') });
async function write(path: string, value: unknown): Promise<void> {
  const file = join(home, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, typeof value === 'string' ? value : JSON.stringify(value));
}
const find = async (registry: string, repository = 'a/b'): Promise<unknown> =>
  (await credentialFinder(env)(registry, repository)).credential;
const invalid = expect.objectContaining({ code: 'CREDENTIALS_INVALID' });

/** A helper that keeps what it is given in a file, and writes down its environment. */
async function helper(name: string): Promise<void> {
  const script = `#!/bin/sh
env > ${home}/helper-env
case "$1" in
get) read -r server || true; cat "${home}/store-$(echo "$server" | tr -c 'a-z0-9\\n' _)" 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
store) cat > ${home}/stored ;;
erase) cat > ${home}/erased ;;
esac
`;
  await write(`bin/docker-credential-${name}`, script);
  await chmod(join(home, `bin/docker-credential-${name}`), 0o755);
}

test('R-AUTH-5: no files: no credentials', async () => {
  expect(await credentialFinder(env)('ghcr.io', 'a/b')).toEqual({ credential: undefined, searched: [] });
});

test('R-AUTH-5: the places in their order', async () => {
  const entry = (user: string): unknown => ({ auths: { 'ghcr.io': auth(`${user}:x`) } });
  env = { ...env, XDG_RUNTIME_DIR: join(home, 'run') };
  const user = async (): Promise<unknown> => ((await find('ghcr.io')) as { username: string }).username;
  await write('.config/containers/auth.json', entry('config'));
  expect(await user()).toBe('config');
  await write('run/containers/auth.json', entry('runtime'));
  expect(await user()).toBe('runtime');
  await write('named.json', entry('named'));
  env = { ...env, REGISTRY_AUTH_FILE: join(home, 'named.json') };
  expect(await user()).toBe('named');
  await write('.docker/config.json', entry('docker'));
  expect(await user()).toBe('docker');
  await write('other/config.json', entry('other'));
  env = { ...env, DOCKER_CONFIG: join(home, 'other') };
  expect(await user()).toBe('other');
  env = { ...env, DOCKER_AUTH_CONFIG: JSON.stringify(entry('inline')) };
  expect(await user()).toBe('inline');
});

test('R-AUTH-8: the longest path counts, and never a sibling', async () => {
  await write('.docker/config.json', {
    auths: { 'ghcr.io': auth('host:x'), 'ghcr.io/team': auth('team:x'), 'ghcr.io/team/app': auth('app:x') },
  });
  const user = async (repository: string): Promise<unknown> =>
    ((await find('ghcr.io', repository)) as { username: string }).username;
  expect(await user('team/app')).toBe('app');
  expect(await user('team/app/part')).toBe('app');
  expect(await user('team/apple')).toBe('team');
  expect(await user('teams/app')).toBe('host');
  expect(await find('ghcr.io.evil.com', 'team/app')).toBeUndefined();
});

test.each(['https://index.docker.io/v1/', 'docker.io', 'index.docker.io', 'https://registry-1.docker.io'])(
  'R-AUTH-5: Docker Hub by the key %s',
  async (key) => {
    await write('.docker/config.json', { auths: { [key]: auth('me:pass:word') } });
    expect(await find('docker.io')).toMatchObject({
      kind: 'password',
      username: 'me',
      password: 'pass:word',
    });
  },
);

test('R-AUTH-6: tokens of both kinds', async () => {
  await write('.docker/config.json', {
    auths: { 'a.io': { ...auth('me:'), identitytoken: 'id' }, 'b.io': { registrytoken: 'reg' } },
  });
  expect(await find('a.io')).toMatchObject({ kind: 'identity-token', username: 'me', token: 'id' });
  expect(await find('b.io')).toMatchObject({ kind: 'registry-token', token: 'reg' });
});

test.each([
  ['no JSON', '{"auths": secret'],
  ['a list', '[]'],
  ['auths of a wrong kind', '{"auths": 3}'],
  ['an entry of a wrong kind', '{"auths": {"ghcr.io": "x"}}'],
  ['auth that is not base64 of a pair', '{"auths": {"ghcr.io": {"auth": "!!!!"}}}'],
  ['a helper of a wrong kind', '{"credHelpers": {"ghcr.io": 1}}'],
  ['a helper with a path', '{"credsStore": "../../bin/sh"}'],
  ['a helper that is not installed', '{"credsStore": "missing"}'],
])('R-AUTH-6: a broken file fails closed: %s (CVE-2021-41092)', async (_, text) => {
  await write('.docker/config.json', text);
  await write('.config/containers/auth.json', { auths: { 'ghcr.io': auth('me:x') } });
  const error = await find('ghcr.io').catch((caught: unknown) => caught);
  expect(error).toEqual(invalid);
  expect(String(error)).not.toContain('secret');
});

test('R-AUTH-7: helpers: found, token, not found, and what they see', async () => {
  await helper('own');
  await helper('all');
  await write('.docker/config.json', { credsStore: 'all', credHelpers: { 'ghcr.io': 'own' } });
  await write('store-ghcr_io', '{"ServerURL":"ghcr.io","Username":"me","Secret":"pw"}');
  await write('store-https___index_docker_io_v1_', '{"ServerURL":"x","Username":"<token>","Secret":"id"}');
  env = { ...env, SECRET_OF_BUILD: 'x', XDG_RUNTIME_DIR: '/run/x' };
  expect(await find('ghcr.io')).toMatchObject({ kind: 'password', username: 'me', password: 'pw' });
  expect(await find('docker.io')).toMatchObject({ kind: 'identity-token', token: 'id' });
  expect(await find('quay.io')).toBeUndefined();
  const seen = await readFile(join(home, 'helper-env'), 'utf8');
  expect(seen).toContain('XDG_RUNTIME_DIR=/run/x');
  expect(seen).not.toContain('SECRET_OF_BUILD');
});

test('login keeps the rest of the file, and the file to its owner', async () => {
  await write('.docker/config.json', {
    detachKeys: 'x',
    auths: { 'a.io': auth('a:b'), 'https://ghcr.io/v2/': auth('old:x') },
  });
  expect(await login('ghcr.io', { username: 'me', password: 'pw' }, { env })).toMatchObject({ plain: true });
  const file = join(home, '.docker/config.json');
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({
    detachKeys: 'x',
    auths: { 'a.io': auth('a:b'), 'ghcr.io': auth('me:pw') },
  });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readdir(dirname(file))).toEqual(['config.json']);
  expect(await find('ghcr.io')).toMatchObject({ username: 'me', password: 'pw' });
  expect(await logout('ghcr.io', { env })).toBe(true);
  expect(await logout('ghcr.io', { env })).toBe(false);
  expect(await find('ghcr.io')).toBeUndefined();
});

test('R-AUTH-7: login uses the helper, and docker’s key for Docker Hub', async () => {
  await helper('all');
  await write('.docker/config.json', { credsStore: 'all' });
  expect(await login('docker.io', { username: 'me', password: 'pw' }, { env })).toMatchObject({
    plain: false,
  });
  expect(JSON.parse(await readFile(join(home, 'stored'), 'utf8'))).toEqual({
    ServerURL: 'https://index.docker.io/v1/',
    Username: 'me',
    Secret: 'pw',
  });
  expect(await readFile(join(home, '.docker/config.json'), 'utf8')).not.toContain('cHc');
  expect(await logout('docker.io', { env })).toBe(true);
  expect(await readFile(join(home, 'erased'), 'utf8')).toBe('https://index.docker.io/v1/');
});

test('login never replaces a file that it does not understand, and keeps a link a link', async () => {
  await write('.docker/config.json', '{broken');
  await expect(login('a.io', { username: 'me', password: 'pw' }, { env })).rejects.toEqual(invalid);
  expect(await readFile(join(home, '.docker/config.json'), 'utf8')).toBe('{broken');
  await rm(join(home, '.docker/config.json'));
  await write('dotfiles/docker.json', '{}');
  await symlink('../dotfiles/docker.json', join(home, '.docker/config.json'));
  await login('a.io', { username: 'me', password: 'pw' }, { env });
  expect(await readFile(join(home, 'dotfiles/docker.json'), 'utf8')).toContain('a.io');
});

test('a login that cannot be kept says why', async () => {
  await write('file', '');
  const kept = login('a.io', { username: 'me', password: 'pw' }, { env, file: join(home, 'file/auth.json') });
  await expect(kept).rejects.toMatchObject({
    code: 'CREDENTIALS_INVALID',
    message: `cannot write ${join(home, 'file/auth.json')}: there is a file of this name`,
  });
});

test('R-AUTH-6: a file that cannot be read fails closed', async () => {
  await mkdir(join(home, '.docker/config.json'), { recursive: true });
  await write('.config/containers/auth.json', { auths: { 'ghcr.io': auth('me:x') } });
  await expect(find('ghcr.io')).rejects.toEqual(invalid);
  await expect(login('a.io', { username: 'me', password: 'pw' }, { env })).rejects.toEqual(invalid);
});

test('what others could read is theirs no longer after a login', async () => {
  await write('.docker/config.json', {});
  const file = join(home, '.docker/config.json');
  await chmod(file, 0o666);
  await login('a.io', { username: 'me', password: 'pw' }, { env });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await login('b.io', { username: 'me', password: 'pw' }, { env: { HOME: join(home, 'new') } });
  expect((await stat(join(home, 'new/.docker'))).mode & 0o777).toBe(0o700);
});

test.each([
  ['an entry of another registry', '{"auths": {"other.io": 1, "ghcr.io": {"auth": "bWU6eA=="}}}'],
  ['credsStore of a wrong kind', '{"credsStore": 1, "auths": {"ghcr.io": {"auth": "bWU6eA=="}}}'],
  ['a second text behind the first', '{"auths": {}} {"auths": {}}'],
  ['a text that ends early', '{"auths": {"ghcr.io": {"auth": "bWU6'],
  ['a password of a wrong kind', '{"auths": {"ghcr.io": {"username": "me", "password": 1}}}'],
  ['a file that is a number', '1'],
  ['a file that is null', 'null'],
])('also broken: %s; nothing of the file is believed', async (_, text) => {
  await write('.docker/config.json', text);
  await expect(find('ghcr.io')).rejects.toEqual(invalid);
});

/** A helper that does this. */
async function scriptedHelper(name: string, body: string): Promise<void> {
  await write(`bin/docker-credential-${name}`, `#!/bin/sh\n${body}\n`);
  await chmod(join(home, `bin/docker-credential-${name}`), 0o755);
  await write('.docker/config.json', { credsStore: name, auths: { 'ghcr.io': auth('stored:pw') } });
}

test.each([
  ['no JSON', 'echo no'],
  ['no secret', 'echo \'{"Username":"me"}\''],
  ['a failure', 'echo "the key chain is locked"; exit 1'],
  ['a signal', 'kill -9 $$'],
  ['too much', 'head -c 100000 /dev/zero; exit 0'],
])(
  'R-AUTH-7: a helper that gives %s is an error, and what it said of secrets is not shown',
  async (_, body) => {
    await scriptedHelper('bad', `${body}; echo s3cretText >&2`);
    const error = await find('quay.io').catch((caught: unknown) => caught);
    expect(error).toEqual(invalid);
    expect(String(error)).not.toContain('s3cretText');
  },
);

test('R-AUTH-7: a helper of one registry is not asked for another; the file’s own entries count before the store', async () => {
  await scriptedHelper(
    'all',
    'echo asked >>"$HOME/asked"; echo "credentials not found in native keychain"; exit 1',
  );
  expect(await find('ghcr.io')).toMatchObject({ username: 'stored' });
  expect(await find('quay.io')).toBeUndefined();
  expect(await readFile(join(home, 'asked'), 'utf8')).toBe('asked\n');
});

test('R-AUTH-8: login keeps the credentials of a path apart, also in a file of its own', async () => {
  const file = join(home, 'auth.json');
  await login('ghcr.io/team', { username: 'team', password: 'pw' }, { env, file });
  await login('ghcr.io', { username: 'me', password: 'pw' }, { env, file });
  await expect(stat(join(home, '.docker/config.json'))).rejects.toThrow('ENOENT');
  env = { ...env, REGISTRY_AUTH_FILE: file };
  expect(await find('ghcr.io', 'team/app')).toMatchObject({ username: 'team' });
  expect(await find('ghcr.io', 'teams/app')).toMatchObject({ username: 'me' });
  expect(await logout('ghcr.io', { env, file })).toBe(true);
  expect(await find('ghcr.io', 'other/app')).toBeUndefined();
  expect(await find('ghcr.io', 'team/app')).toMatchObject({ username: 'team' });
});

test('R-AUTH-6: a FIFO in the place of config.json is not waited for', async () => {
  await mkdir(join(home, '.docker'), { recursive: true });
  execFileSync('mkfifo', [join(home, '.docker/config.json')]);
  expect(await metaHeaders(env)).toEqual({});
  expect(clientProxies(env)).toEqual({});
  await expect(find('ghcr.io')).rejects.toEqual(invalid);
});

test('R-AUTH-6: HttpHeaders: those that docker’s engine passes on', async () => {
  await write('.docker/config.json', {
    HttpHeaders: { 'X-Meta-Team': 'a', Authorization: 'secret', 'User-Agent': 'x' },
  });
  expect(await metaHeaders(env)).toEqual({ 'x-meta-team': 'a' });
  for (const headers of [3, { 'X-Meta-A': 1 }, { 'X-Meta-A': 'a\r\nb: c' }]) {
    await write('.docker/config.json', { HttpHeaders: headers });
    await expect(metaHeaders(env)).rejects.toEqual(invalid);
  }
  await write('.docker/config.json', '{');
  expect(await metaHeaders(env)).toEqual({});
});

test('a finished token with characters that no header has is refused', async () => {
  for (const registrytoken of ['abc\r\nx-evil: 1', 'abc\u20ac', 'a b']) {
    await write('.docker/config.json', { auths: { 'ghcr.io': { registrytoken } } });
    await expect(find('ghcr.io')).rejects.toEqual(invalid);
  }
});

test('what a helper leaves behind is not waited for, though it holds the output open', async () => {
  const script = (line: string): string => `#!/bin/sh\nsleep 1000 &\necho $! > ${home}/left\n${line}\n`;
  await write('bin/docker-credential-own', script(`echo '{"Username":"me","Secret":"pw"}'`));
  await chmod(join(home, 'bin/docker-credential-own'), 0o755);
  await write('.docker/config.json', { credHelpers: { 'ghcr.io': 'own' } });
  expect(await find('ghcr.io')).toMatchObject({ username: 'me', password: 'pw' });
  process.kill(Number(await readFile(join(home, 'left'), 'utf8')));
});

test('a helper whose child writes without end is left', async () => {
  await write('bin/docker-credential-own', '#!/bin/sh\nyes\n');
  await chmod(join(home, 'bin/docker-credential-own'), 0o755);
  await write('.docker/config.json', { credHelpers: { 'ghcr.io': 'own' } });
  await expect(find('ghcr.io')).rejects.toEqual(invalid);
});
