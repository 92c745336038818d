import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { must, tsbuild } from '../support/cli.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';
import { startTokenServer } from '../support/token-server.ts';

const needs = ['root', tool('docker-registry'), tool('openssl'), tool('busybox', 'busybox-static')] as const;

suite('a registry that answers as Docker Hub does', needs, () => {
  test('R-AUTH-3, R-NAME-1: push after login, then anonymous pull of a short name, by tokens from another host', async () => {
    await using work = await tempFolder('hub');
    // Hub's realm is not its registry: here another port.
    await using tokens = await startTokenServer({ users: { ada: 'correct' } });
    await using registry = await startRegistry({ token: tokens.config });
    const store = join(work.path, 'store');
    const env = { DOCKER_CONFIG: join(work.path, 'docker'), XDG_RUNTIME_DIR: work.path };
    mkdirSync(env.DOCKER_CONFIG);
    const name = `${registry.host}/library/base:latest`;
    await makeBase(store, name, busyboxRootfs());

    const login = ['login', '--username', 'ada', '--password-stdin', registry.host];
    const wrong = await tsbuild(login, { env, input: 'wrong' });
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain('error[REGISTRY_UNAUTHORIZED]: ');
    expect(wrong.stderr).not.toContain('wrong\n');
    const denied = await tsbuild(['push', '--root', store, name], { env });
    expect(denied.code).toBe(1);
    expect(denied.stderr).toContain('error[REGISTRY_UNAUTHORIZED]: ');

    await must(tsbuild(login, { env, input: 'correct\n' }));
    expect(readFileSync(join(env.DOCKER_CONFIG, 'config.json'), 'utf8')).toContain(registry.host);
    await must(tsbuild(['push', '--root', store, name], { env }));
    await must(tsbuild(['logout', registry.host], { env }));

    const context = join(work.path, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), 'FROM base\nRUN echo built >/built\n');
    const fresh = join(work.path, 'fresh');
    const mirror = ['--registry-mirror', `docker.io=${registry.host}`];
    await must(tsbuild(['--root', fresh, ...mirror, '-t', 'localhost/built', context], { env }));
    const said = await must(
      tsbuild(['run', '--rm', '--root', fresh, 'localhost/built', 'cat', '/built'], { env }),
    );
    expect(said).toBe('built\n');
    const anonymous = tokens.seen.filter((request) => request.authorization === undefined);
    expect(anonymous.flatMap((request) => request.scopes)).toContain('repository:library/base:pull');
  });

  test('R-AUTH-9: a token server of another organisation never sees the password', async () => {
    await using work = await tempFolder('hub-realm');
    await using tokens = await startTokenServer({ users: { ada: 'correct' }, hostname: 'localhost' });
    await using registry = await startRegistry({ token: tokens.config });
    const env = { DOCKER_CONFIG: work.path, XDG_RUNTIME_DIR: work.path };
    const login = ['login', '--username', 'ada', '--password-stdin', registry.host];
    const refused = await tsbuild(login, { env, input: 'correct' });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('error[REGISTRY_UNSAFE]: ');
    expect(tokens.seen.filter((request) => request.authorization !== undefined)).toEqual([]);
  });

  test('base image not found, and wrong password, each with one clear error', async () => {
    await using work = await tempFolder('hub-errors');
    await using registry = await startRegistry({ htpasswd: { username: 'ada', password: 'correct' } });
    const env = { DOCKER_CONFIG: work.path };
    const auth = (password: string): void =>
      writeFileSync(
        join(work.path, 'config.json'),
        JSON.stringify({
          auths: { [registry.host]: { auth: Buffer.from(`ada:${password}`).toString('base64') } },
        }),
      );
    writeFileSync(join(work.path, 'Dockerfile'), `FROM ${registry.host}/no/such:image\n`);
    const build = ['--root', join(work.path, 'store'), '--progress', 'plain', work.path];

    auth('correct');
    const absent = await tsbuild(build, { env });
    expect(absent.stderr).toContain('error[IMAGE_NOT_FOUND]: ');
    expect(absent.stderr).toMatch(/Dockerfile:1/);
    expect(absent.code).toBe(1);

    auth('guessed');
    const refused = await tsbuild(build, { env });
    expect(refused.stderr).toContain('error[REGISTRY_UNAUTHORIZED]: ');
    expect(refused.stderr).not.toContain('guessed');
    expect(refused.code).toBe(1);
  });
});
