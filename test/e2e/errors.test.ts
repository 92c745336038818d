import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import type { CommandResult } from '../support/cli.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import { binary } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { unprivileged } from '../support/unprivileged.ts';

let work: TempFolder;
let context: string;
let store: string;
let temporary: string;
let mounts: string;

beforeEach(async () => {
  work = await tempFolder('errors');
  context = join(work.path, 'context');
  store = join(work.path, 'store');
  temporary = join(work.path, 'tmp');
  mkdirSync(context);
  mkdirSync(temporary);
  mounts = mountPoints();
});
afterEach(() => work[Symbol.asyncDispose]());

/** Mounts that have to do with tsbuild, but for those below the folders of other tests, which come and go. */
function mountPoints(): string {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .filter((line) => line.includes('tsbuild'))
    .filter((line) => line.includes(work.path) || !/ \/\S*\/tsbuild-[\w-]+\//.test(line))
    .join('\n');
}

function dockerfile(...lines: readonly string[]): void {
  writeFileSync(join(context, 'Dockerfile'), `${lines.join('\n')}\n`);
}

interface Failure {
  readonly code: string;
  readonly exit?: number;
  readonly says?: readonly (string | RegExp)[];
}

/** Builds and checks the one error, the exit status, and that nothing is left behind. */
async function fails(
  args: readonly string[],
  failure: Failure,
  env: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  const result = await tsbuild(['--root', store, '--progress', 'plain', ...args], {
    env: { TMPDIR: temporary, DOCKER_CONFIG: join(work.path, 'docker'), ...env },
  });
  expect(result.stderr.match(/^error\[/gm) ?? [], result.stderr).toHaveLength(1);
  expect(result.stderr).toContain(`error[${failure.code}]: `);
  for (const text of failure.says ?? []) expect(result.stderr).toMatch(text);
  expect(result.stderr).not.toMatch(/^\s+at .*\.[jt]s:\d+/m);
  expect(result.code).toBe(failure.exit ?? 1);
  expect(result.stdout).toBe('');
  expectClean();
  return result;
}

function expectClean(): void {
  expect(readdirSync(temporary)).toEqual([]);
  expect(mountPoints()).toBe(mounts);
}

describe('bad input', () => {
  test('missing Dockerfile', () => fails([context], { code: 'DOCKERFILE_NOT_FOUND', says: ['Dockerfile'] }));

  test('missing context', () =>
    fails([join(work.path, 'nowhere')], { code: 'CONTEXT_NOT_FOUND', says: ['nowhere'] }));

  test('syntax error', async () => {
    dockerfile('FROM scratch', 'COPY <<EOF /x', 'never ended');
    await fails([context], { code: 'DOCKERFILE_SYNTAX', says: [/Dockerfile:2/, 'EOF'] });
  });

  test('unknown instruction, with a hint', async () => {
    dockerfile('FROM scratch', 'CPOY a /a');
    await fails([context], {
      code: 'DOCKERFILE_UNKNOWN_INSTRUCTION',
      says: [/Dockerfile:2:1/, 'CPOY a /a', /did you mean `?COPY/],
    });
  });

  test('unknown stage, with a hint', async () => {
    dockerfile('FROM scratch AS builder', 'COPY Dockerfile /a', 'FROM scratch', 'COPY --from=biulder /a /b');
    await fails(['--target', 'bilder', context], { code: 'DOCKERFILE_UNKNOWN_STAGE', says: [/builder/] });
  });

  test('COPY source missing', async () => {
    writeFileSync(join(context, 'present.txt'), '');
    dockerfile('FROM scratch', 'COPY presant.txt /');
    await fails([context], {
      code: 'COPY_SOURCE_MISSING',
      says: [/Dockerfile:2/, 'presant.txt', /present\.txt/],
    });
  });

  test('COPY source ignored, naming the line of .dockerignore', async () => {
    writeFileSync(join(context, 'notes.md'), '');
    writeFileSync(join(context, '.dockerignore'), '# first\n\n*.md\n');
    dockerfile('FROM scratch', 'COPY notes.md /');
    await fails([context], {
      code: 'COPY_SOURCE_MISSING',
      says: [/line 3 of \.dockerignore/, /\*\.md/],
    });
  });

  test('registry down', async () => {
    // A port that was free a moment ago: nobody answers there.
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => {
      server.close(resolve);
    });
    dockerfile(`FROM 127.0.0.1:${port}/base`);
    await fails([context], { code: 'REGISTRY_UNREACHABLE', says: [`127.0.0.1:${port}`, /Dockerfile:1/] });
  });

  test('context path that leaves the context', async () => {
    writeFileSync(join(work.path, 'outside'), 'secret');
    dockerfile('FROM scratch', 'COPY ../outside /');
    // Docker's rule: `..` stays at the root of the context, where no such file is.
    await fails([context], { code: 'COPY_SOURCE_MISSING', says: [/Dockerfile:2/, 'outside'] });
    await must(command('ln', ['-s', '../outside', join(context, 'link')]));
    dockerfile('FROM scratch', 'COPY link /');
    const result = await tsbuild(['--root', store, '--progress', 'plain', context], {
      env: { TMPDIR: temporary },
    });
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/error\[(COPY_SOURCE_MISSING|PATH_OUTSIDE)\]/);
    expectClean();
  });

  test('an unknown flag of the command line is a usage error', () =>
    fails(['--no-such-flag', context], { code: 'USAGE', exit: 2, says: ['--no-such-flag'] }));

  test('a bad tag is a usage error', async () => {
    dockerfile('FROM scratch', 'COPY Dockerfile /');
    await fails(['-t', 'team/UPPER', context], { code: 'REFERENCE_INVALID', exit: 2, says: ['team/UPPER'] });
  });
});

suite('bad input to RUN', ['root', tool('busybox', 'busybox-static')], () => {
  let base: TempFolder;
  beforeAll(async () => {
    base = await tempFolder('errors-base');
    await makeBase(join(base.path, 'store'), 'localhost/busybox', busyboxRootfs());
  });
  afterAll(() => base[Symbol.asyncDispose]());
  beforeEach(() => {
    store = join(base.path, 'store');
  });

  test('RUN exits 7: status and command stand with the line', async () => {
    dockerfile('FROM localhost/busybox', 'RUN echo before; exit 7');
    await fails([context], {
      code: 'STEP_FAILED',
      says: [/Dockerfile:2/, /RUN echo before; exit 7/, /\b7\b/, 'before'],
    });
  });

  test('a failed step leaves no image and no half layer', async () => {
    const before = readdirSync(join(store, 'blobs/sha256')).toSorted();
    dockerfile('FROM localhost/busybox', 'RUN dd if=/dev/zero of=/big bs=1M count=8 && exit 3');
    await fails(['-t', 'localhost/never', context], { code: 'STEP_FAILED' });
    expect(readdirSync(join(store, 'blobs/sha256')).toSorted()).toEqual(before);
    expect((await tsbuild(['inspect', '--root', store, 'localhost/never'])).code).toBe(1);
  });

  test('unknown user', async () => {
    dockerfile('FROM localhost/busybox', 'USER nemo', 'RUN true');
    await fails([context], { code: 'USER_UNKNOWN', says: ['nemo'] });
  });

  test('a step that misses a secret which it did not require', async () => {
    dockerfile('FROM localhost/busybox', 'RUN --mount=type=secret,id=token cat /run/secrets/token');
    await fails([context], { code: 'STEP_FAILED', says: ['--secret id=token,src=FILE'] });
    dockerfile('FROM localhost/busybox', 'RUN cat /run/secrets/token');
    expect((await tsbuild(['--root', store, context])).stderr).not.toContain('--secret');
  });

  test('a required secret that was not given', async () => {
    dockerfile('FROM localhost/busybox', 'RUN --mount=type=secret,id=token,required true');
    await fails([context], { code: 'SECRET_MISSING', says: ['token', /Dockerfile:2/] });
  });

  test('no usable sandbox', async () => {
    dockerfile('FROM localhost/busybox', 'COPY Dockerfile /not-made-in-vain', 'RUN echo needs-a-sandbox');
    // Without the right to make namespaces nothing can run a step: neither a runtime of PATH nor the embedded one.
    await must(command('chown', ['-R', '65534:65534', work.path, base.path]));
    const result = await unprivileged(
      process.execPath,
      [binary, '--root', store, '--progress', 'plain', context],
      {
        cwd: work.path,
        env: { TMPDIR: temporary, HOME: work.path },
      },
    );
    expect(result.stderr).toContain('error[SANDBOX_UNAVAILABLE]: ');
    // Told before the steps that the RUN needs have run.
    expect(result.stderr).not.toMatch(/^#\d+ \[.*COPY/m);
    expect(result.code).toBe(1);
    expectClean();
  });

  test('disk full while writing a layer', async () => {
    const disk = join(work.path, 'disk');
    mkdirSync(disk);
    await must(command('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', disk]));
    try {
      mounts = mountPoints();
      store = join(disk, 'store');
      await must(command('sh', ['-c', `head -c 40000000 /dev/urandom >${join(context, 'big')}`]));
      dockerfile('FROM scratch', 'COPY big /big');
      await fails(['-t', 'localhost/never', context], { code: 'DISK_FULL' });
      const left = await must(command('find', [store, '-size', '+1000k', '-type', 'f']));
      expect(left).toBe('');
    } finally {
      await must(command('umount', [disk]));
    }
  });
});
