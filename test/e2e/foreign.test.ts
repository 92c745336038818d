import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { qemuName } from '../../src/executor/emulators.ts';
import { PROBE_STATUS, probeProgram, probedArchitectures } from '../../src/host/probe-program.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { arm64Busybox } from '../support/base-images.ts';
import type { CommandResult } from '../support/cli.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import { tsbuildWithEmulators } from '../support/own-namespace.ts';
import { requireTool, suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { makeUser } from '../support/users.ts';

const needs = [
  'root',
  'own-binfmt',
  tool('qemu-aarch64-static', 'qemu-user-static'),
  tool('newuidmap', 'uidmap'),
  tool('apt-get', 'apt'),
  tool('dpkg-deb', 'dpkg'),
  tool('runc'),
] as const;

/** A line for binfmt_misc: the head of a processor's programs, whatever system and kind they are made for. */
function registration(architecture: string, flags: string): string {
  const name = qemuName(architecture);
  const head = Buffer.from(probeProgram(architecture) ?? '').subarray(0, 20);
  const mask = Buffer.alloc(head.length, 0xff);
  const [EI_DATA, EI_OSABI, E_TYPE] = [5, 7, 16] as const;
  mask[EI_OSABI] = 0;
  const isBigEndian = head[EI_DATA] === 2;
  mask[isBigEndian ? E_TYPE + 1 : E_TYPE] = 0xfe;
  const hex = (bytes: Buffer): string => bytes.toString('hex').replaceAll(/../g, String.raw`\x$&`);
  return `:${name}:M::${hex(head)}:${hex(mask)}:${requireTool(`${name}-static`)}:${flags}`;
}

suite('RUN for another processor', needs, () => {
  let work: TempFolder;
  const foreign = hostPlatform().architecture === 'arm64' ? 's390x' : 'arm64';

  beforeAll(async () => {
    work = await tempFolder('foreign');
    await must(command('chmod', ['755', work.path]));
  });
  afterAll(() => work[Symbol.asyncDispose]());

  /** Writes a context with the program for a processor, and its Dockerfile; returns the command line that builds it. */
  function probe(
    architecture: string,
    options: { readonly name: string; readonly lines?: readonly string[] },
  ) {
    const folder = join(work.path, options.name);
    mkdirSync(folder);
    writeFileSync(join(folder, 'probe'), probeProgram(architecture) ?? '', { mode: 0o755 });
    const lines = ['FROM scratch', 'COPY probe /', ...(options.lines ?? []), 'RUN ["/probe"]', ''];
    writeFileSync(join(folder, 'Dockerfile'), lines.join('\n'));
    const platform = ['--platform', `linux/${architecture}`];
    return ['--root', join(folder, 'store'), '--no-cache', '--network', 'none', ...platform, folder];
  }

  const ran = `did not complete successfully: exit code: ${PROBE_STATUS}`;

  test('without an emulator: an error before the step starts, which names the package', async () => {
    const args = probe(foreign, { name: 'without' });
    const { code, stderr } = await tsbuildWithEmulators([], args);
    expect(code).toBe(1);
    expect(stderr).toContain(
      `error[STEP_PLATFORM]: RUN has to execute programs of linux/${foreign} here, and ${qemuName(foreign)}`,
    );
    expect(stderr).toMatch(/hint: .*qemu-user-static/);
    expect(stderr).toContain('Dockerfile:3:1');
  });

  test('an interpreter that was not opened when it was registered has to be in the image', async () => {
    const emulators = [registration(foreign, 'P')];
    const without = await tsbuildWithEmulators(emulators, probe(foreign, { name: 'not-fixed' }));
    expect(without.code).toBe(1);
    const qemu = requireTool(`${qemuName(foreign)}-static`);
    expect(without.stderr).toContain(
      `error[STEP_PLATFORM]: programs of linux/${foreign} are started by ${qemu}, which is not in the image`,
    );
    const args = probe(foreign, { name: 'in-image', lines: [`COPY qemu ${qemu}`] });
    copyFileSync(qemu, join(work.path, 'in-image/qemu'));
    expect((await tsbuildWithEmulators(emulators, args)).stderr).toContain(ran);
  });

  test.each(probedArchitectures)('a program for %s runs where qemu is registered', async (architecture) => {
    const args = probe(architecture, { name: architecture });
    const emulators = architecture === hostPlatform().architecture ? [] : [registration(architecture, 'PF')];
    expect((await tsbuildWithEmulators(emulators, args)).stderr).toContain(ran);
  });

  /** The command line of a build with a shell and steps for arm64, whose files go into an archive. */
  function busybox(name: string, runtime: string): readonly string[] {
    const folder = join(work.path, name);
    mkdirSync(folder);
    copyFileSync(arm64Busybox(), join(folder, 'busybox'));
    const lines = [
      'FROM scratch',
      'COPY --chmod=755 busybox /bin/busybox',
      'RUN ["/bin/busybox", "ln", "-s", "busybox", "/bin/sh"]',
      'RUN busybox uname -m >/machine && busybox id -u >/id && busybox chown 7:8 /id',
      '',
    ];
    writeFileSync(join(folder, 'Dockerfile'), lines.join('\n'));
    const how = ['--runtime', runtime, '--no-cache', '--network', 'none', '--platform', 'linux/arm64'];
    return [...how, '-o', 'type=tar,dest=-', folder];
  }

  async function expectFiles({ code, stderr, stdoutBytes: input }: CommandResult): Promise<void> {
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    expect(await must(command('tar', ['-xO', 'machine', 'id'], { input }))).toBe('0\naarch64\n');
    expect(await must(command('tar', ['-tv', '--numeric-owner', 'id'], { input }))).toContain(' 7/8 ');
  }

  test.each(['runc', 'embedded'])('steps with a shell of that processor work on %s', async (runtime) => {
    const args = ['--root', join(work.path, 'store'), ...busybox(`steps-${runtime}`, runtime)];
    const emulators = hostPlatform().architecture === 'arm64' ? [] : [registration('arm64', 'PF')];
    await expectFiles(await tsbuildWithEmulators(emulators, args));
  });

  test.each(['subordinate', 'none'] as const)(
    'a user with ids of kind %s needs nothing but the package: qemu is registered for the build alone',
    async (ids) => {
      await using user = await makeUser(ids);
      const args = ['--root', join(user.home, 'store'), ...busybox(`ids-${ids}`, 'embedded')];
      await expectFiles(await user.tsbuild(args));
      expect(await must(user.tsbuild(['doctor']))).toMatch(/foreign platforms +.*linux\/arm64/);
    },
  );

  test('a program for this processor is run as it is', async () => {
    const args = probe(hostPlatform().architecture, { name: 'native' });
    expect((await tsbuild(args)).stderr).toContain(ran);
  });
});
