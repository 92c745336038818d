import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { basename, join, normalize } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BuildOptions } from '../../src/index.ts';
import { copyImage, imageDigest } from '../../src/index.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { pushImage } from '../../src/registry/push.ts';
import { makeImage, testClient } from '../support/registry-client.ts';
import { makeCertificate, startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';
import { runtimes } from './executor-steps.ts';
import type { Steps } from './language/steps.ts';
import { openSteps } from './language/steps.ts';

interface TlsFiles extends AsyncDisposable {
  /** `127.0.0.1:<port>`. */
  readonly host: string;
}

/** A server with TLS that gives the files below a folder. */
async function serveFiles(folder: string, certificate: string): Promise<TlsFiles> {
  const server = createServer(
    { key: readFileSync(join(certificate, 'key.pem')), cert: readFileSync(join(certificate, 'cert.pem')) },
    (request, response) => {
      const path = join(folder, normalize(new URL(request.url ?? '/', 'https://x').pathname));
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat?.isFile() === true) response.end(readFileSync(path));
      else response.writeHead(404).end();
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    host: `127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Puts a program and the libraries that it needs into a folder; `run NAME ...` there runs it, whatever else the root has. */
function takeAlong(folder: string, program: string): void {
  mkdirSync(folder, { recursive: true });
  copyFileSync(program, join(folder, basename(program)));
  const libraries = execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g);
  for (const [, path = ''] of libraries) copyFileSync(path, join(folder, basename(path)));
  const script =
    'd=$(dirname "$0"); n=$1; shift; exec "$d"/ld-linux*.so.* --library-path "$d" "$d/$n" "$@"\n';
  writeFileSync(join(folder, 'run'), `#!/bin/sh\n${script}`);
  chmodSync(join(folder, 'run'), 0o755);
}

const needs = [
  'root',
  tool('runc'),
  tool('curl'),
  tool('openssl'),
  tool('git'),
  tool('docker-registry'),
] as const;

suite('W-18 certificate authorities of the user', needs, () => {
  let steps: Steps;
  let server: TlsFiles;
  let ca: string;
  let trusting: BuildOptions;
  const distrusting: BuildOptions = { network: 'host' };

  beforeAll(async () => {
    steps = await openSteps('authorities', runtimes[0]);
    const tools = join(steps.context, 'tools');
    takeAlong(tools, execFileSync('sh', ['-c', 'command -v curl'], { encoding: 'utf8' }).trim());
    takeAlong(tools, process.execPath);
    await makeCertificate(steps.path, '127.0.0.1');
    ca = join(steps.path, 'cert.pem');
    mkdirSync(join(steps.path, 'own'));
    await makeCertificate(join(steps.path, 'own'), 'own');
    copyFileSync(join(steps.path, 'own', 'cert.pem'), join(steps.context, 'own.crt'));
    const files = join(steps.path, 'files');
    mkdirSync(files);
    writeFileSync(join(files, 'hello'), 'hello over TLS');
    server = await serveFiles(files, steps.path);
    trusting = { ...distrusting, certificateAuthorities: [ca] };
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await steps[Symbol.asyncDispose]();
  });

  const fetchers = (host: string): Readonly<Record<string, string>> => ({
    curl: `/tools/run curl -sS https://${host}/hello`,
    node: `/tools/run node -e "require('https').get('https://${host}/hello', (r) => r.pipe(process.stdout))"`,
  });

  test.each(['curl', 'node'])('%s in a step trusts them, and without them does not', async (name) => {
    const line = `RUN --mount=type=bind,source=tools,target=/tools ${fetchers(server.host)[name] ?? ''}`;
    expect(await steps.error(line, distrusting)).toMatchObject({
      code: 'STEP_FAILED',
      // The root has no authorities at all, which curl says in other words.
      hint: name === 'curl' ? undefined : 'a proxy may break up TLS: give its certificate with --ca FILE',
    });
    expect(await steps.says(line, trusting)).toEqual(['hello over TLS']);
    expect(
      await steps.says(line, { ...distrusting, env: { PATH: process.env['PATH'], TSBUILD_CA: ca } }),
    ).toEqual(['hello over TLS']);
  });

  test('they are beside the image’s own, read-only, and no layer has a trace of them', async () => {
    const bundle = '/etc/ssl/certs/ca-certificates.crt';
    const lines = [
      `COPY own.crt ${bundle}`,
      `RUN ln -s certs/ca-certificates.crt /etc/ssl/cert.pem`,
      `RUN grep -c BEGIN ${bundle} /etc/ssl/cert.pem $SSL_CERT_FILE $NODE_EXTRA_CA_CERTS; (echo x >>${bundle}) 2>/dev/null || echo no; echo done >/done`,
    ];
    expect(await steps.says(lines.join('\n'), trusting)).toEqual([
      `${bundle}:2`,
      '/etc/ssl/cert.pem:2',
      '/run/tsbuild/ca-bundle.pem:2',
      '/run/tsbuild/ca-extra.pem:1',
      'no',
    ]);
    const layers = await steps.layers(lines.join('\n'), trusting);
    expect(layers.map((layer) => layer.map(({ path }) => path.replace(/\/$/, '')))).toEqual([
      ['etc', 'etc/ssl', 'etc/ssl/certs', 'etc/ssl/certs/ca-certificates.crt'],
      ['etc', 'etc/ssl', 'etc/ssl/cert.pem'],
      ['done'],
    ]);
    const [, line = 'none'] = readFileSync(ca, 'utf8').split('\n');
    expect(JSON.stringify(layers)).not.toContain(line);
    // The next build's step sees the file as it was.
    const later = [...lines.slice(0, 2), `RUN grep -c BEGIN ${bundle}; echo "<$SSL_CERT_FILE>"; ls /run`];
    expect(await steps.says(later.join('\n'), distrusting)).toEqual(['1', '<>']);
  });

  test('an image without any gets the usual ones too', async () => {
    const [count = ''] = await steps.says('RUN grep -c BEGIN $SSL_CERT_FILE', trusting);
    expect(Number(count)).toBeGreaterThan(100);
  });

  test('what the Dockerfile sets stays, and the image has none of the variables', async () => {
    const line = 'ENV SSL_CERT_FILE=/mine\nRUN echo $SSL_CERT_FILE $CURL_CA_BUNDLE';
    expect(await steps.says(line, trusting)).toEqual(['/mine /run/tsbuild/ca-bundle.pem']);
  });

  test('where nothing can be mounted they stand in for the image’s own, which come back', async () => {
    const bundle = '/etc/ssl/certs/ca-certificates.crt';
    const lines = [
      `COPY own.crt ${bundle}`,
      `RUN --mount=type=bind,source=tools,target=/tools ${fetchers(server.host)['curl'] ?? ''} && grep -c BEGIN ${bundle} && echo done >/done`,
    ].join('\n');
    const chroot = { ...trusting, isolation: 'chroot' } as const;
    expect(await steps.says(lines, chroot)).toEqual(['hello over TLS2']);
    const layers = await steps.layers(lines, chroot);
    expect(layers.at(-1)?.map(({ path }) => path)).toEqual(['done']);
  });

  test('they decide no cache key', async () => {
    const line = 'RUN echo once >/once';
    await steps.build(line, { ...trusting, noCache: false });
    const { states } = await steps.build(line, { ...distrusting, noCache: false });
    expect(states.at(-1)).toBe('RUN echo once >/once:cached');
  });

  test('ADD by https, git by https and a registry with TLS trust them', async () => {
    const work = join(steps.path, 'work');
    const bare = join(steps.path, 'files', 'repo.git');
    const git = (...args: readonly string[]): unknown =>
      execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], {
        env: { PATH: process.env['PATH'], HOME: steps.path, GIT_CONFIG_NOSYSTEM: '1' },
        stdio: 'pipe',
      });
    git('init', '--quiet', '--initial-branch=main', work);
    writeFileSync(join(work, 'file'), 'from git');
    git('-C', work, 'add', '.');
    git('-C', work, 'commit', '--quiet', '-m', 'one');
    git('clone', '--quiet', '--bare', work, bare);
    git('-C', bare, 'update-server-info');
    const lines = [
      `ADD https://${server.host}/hello /hello`,
      `ADD https://${server.host}/repo.git#main /repo/`,
      'RUN cat /hello /repo/file',
    ].join('\n');
    expect(await steps.says(lines, trusting)).toEqual(['hello over TLSfrom git']);
    for (const [index, code] of ['DOWNLOAD_FAILED', 'GIT_FAILED'].entries()) {
      const line = lines.split('\n')[index] ?? '';
      // Another name, so that nothing of it is known.
      const error = await steps.error(line.replace('127.0.0.1', 'localhost'), distrusting);
      expect(error.code).toBe(code);
    }

    await using registry = await startRegistry({ tls: true });
    await using folder = await tempFolder('authorities');
    await using http = testClient({ env: { TSBUILD_CA: registry.ca } });
    const image = `${registry.host}/app:1`;
    const { digest } = await pushImage(http, {
      images: [await makeImage(['one'])],
      reference: parseReference(image),
    });
    const common = {
      root: join(folder.path, 'store'),
      env: { HOME: folder.path, PATH: process.env['PATH'] },
    };
    expect(await imageDigest({ ...common, image, certificateAuthorities: [registry.ca ?? ''] })).toBe(digest);
    const error: unknown = await copyImage({ ...common, source: image, destination: 'store:x' }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    expect(String((error as { hint?: string }).hint)).toContain('--ca');
    expect(await imageDigest({ ...common, image, insecureRegistries: ['*'] })).toBe(digest);
  });

  test('a file that is none is told before anything runs', async () => {
    const missing = { ...distrusting, certificateAuthorities: [join(steps.path, 'none.pem')] };
    expect((await steps.error('RUN true', missing)).code).toBe('CREDENTIALS_INVALID');
    writeFileSync(join(steps.path, 'text.pem'), 'text');
    const text = { ...distrusting, certificateAuthorities: [join(steps.path, 'text.pem')] };
    expect((await steps.error('RUN true', text)).code).toBe('CREDENTIALS_INVALID');
  });
});
