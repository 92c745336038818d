import { copyFileSync, cpSync, existsSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { debianRootfs } from '../support/base-images.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import { packPackage } from '../support/pack.ts';
import { examples } from '../support/paths.ts';
import { startRegistry } from '../support/registry-server.ts';
import { findTool, suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';

const needs = [
  'root',
  'npm-registry',
  tool('mmdebstrap'),
  tool('docker-registry'),
  tool('htpasswd', 'apache2-utils'),
  tool('npm'),
] as const;

suite('examples', needs, () => {
  let work: TempFolder;
  let store: string;
  let packed: Promise<string> | undefined;

  beforeAll(async () => {
    work = await tempFolder('examples');
    store = join(work.path, 'store');
    const base = join(work.path, 'base');
    cpSync(join(examples, 'base'), base, { recursive: true, filter: (path) => !path.endsWith('.tar') });
    copyFileSync(debianRootfs(), join(base, 'rootfs.tar'));
    await must(tsbuild(['--root', store, '-t', 'ubuntu:latest', base]));
  });
  afterAll(() => work[Symbol.asyncDispose]());

  test('base: its image is an operating system', async () => {
    const said = await must(tsbuild(['run', '--rm', '--root', store, 'ubuntu', 'cat', '/etc/os-release']));
    expect(said).toMatch(/^ID=(debian|ubuntu)$/m);
  });

  test('my-ubuntu: ifconfig is there', async () => {
    await must(tsbuild(['--root', store, '-t', 'my-ubuntu:0.1', join(examples, 'my-ubuntu')]));
    const said = await must(tsbuild(['run', '--rm', '--root', store, 'my-ubuntu:0.1']));
    expect(said).toMatch(/^lo: flags=.*LOOPBACK/m);
  });

  test('node-app: built with npm settings that stay out of the image', async () => {
    const npm = dirname(dirname(realpathSync(findTool('npm') ?? '')));
    const contexts = [`node-dist=${dirname(process.execPath)}`, `npm-dist=${npm}`];
    const dockerfile = ['-f', join(examples, 'base/node.Dockerfile')];
    const named = contexts.flatMap((text) => ['--build-context', text]);
    await must(
      tsbuild(['--root', store, ...dockerfile, ...named, '-t', 'node-base', join(examples, 'base')]),
    );

    const npmrc = join(homedir(), '.npmrc');
    const ca = ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS']
      .map((name) => process.env[name] ?? '')
      .find(existsSync);
    const secrets = [
      ...(existsSync(npmrc) ? [`id=npmrc,src=${npmrc}`] : []),
      ...(ca === undefined ? [] : [`id=ca,src=${ca}`]),
    ].flatMap((text) => ['--secret', text]);
    await must(tsbuild(['--root', store, ...secrets, '-t', 'node-app', join(examples, 'node-app')]));
    const said = await must(tsbuild(['run', '--rm', '--root', store, 'node-app', '--once']));
    expect(said).toMatch(/^up for \d+ ms\n$/);
    const look = ['run', '--rm', '--root', store, '--entrypoint', 'ls', 'node-app', '-A', '/app', '/root'];
    const listed = await tsbuild(look);
    expect(listed.stdout).not.toMatch(/node_modules|\.npmrc|\.npm\b/);
  });

  test('static: the site without the drafts', async () => {
    const out = join(work.path, 'site');
    await must(tsbuild(['--root', store, '-o', out, join(examples, 'static')]));
    expect(existsSync(join(out, 'site/index.html'))).toBe(true);
    expect(existsSync(join(out, 'site/robots.txt'))).toBe(true);
    expect(existsSync(join(out, 'site/news.draft.html'))).toBe(false);
  });

  test.for(['github', 'gitlab'])('ci: the %s job builds and pushes', async (system) => {
    await using registry = await startRegistry({ htpasswd: { username: 'ci', password: 'from-the-vault' } });
    // The job installs the package as it would be published.
    const tarball = await (packed ??= packPackage(work.path));
    const variables = [
      `TSBUILD=${tarball}`,
      `REGISTRY=${registry.host}`,
      'REGISTRY_USER=ci',
      'REGISTRY_PASSWORD=from-the-vault',
      `IMAGE=${registry.host}/team/app`,
      'REVISION=0123abc',
    ];
    const job = await command(process.execPath, [join(examples, 'ci/run-ci.ts'), system, ...variables]);
    expect(job.code, job.stderr).toBe(0);
    expect(job.stderr + job.stdout).not.toContain('from-the-vault');

    const credentials = ['--creds', 'ci:from-the-vault', '--tls-verify=false'];
    if (findTool('skopeo') !== undefined) {
      const inspect = ['inspect', ...credentials, `docker://${registry.host}/team/app:0123abc`];
      const text = await must(command('skopeo', inspect));
      expect((JSON.parse(text) as { Labels: unknown }).Labels).toEqual({
        'org.opencontainers.image.revision': '0123abc',
      });
    }
  });
});
