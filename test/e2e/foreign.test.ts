import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { command, must, tsbuild } from '../support/cli.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';

const needs = [
  'root',
  tool('qemu-aarch64-static', 'qemu-user-static'),
  tool('apt-get', 'apt'),
  tool('dpkg-deb', 'dpkg'),
  tool('runc'),
] as const;

const binfmt = '/proc/sys/fs/binfmt_misc';
const name = 'qemu-aarch64';
/** An ELF file for aarch64, in the words of binfmt_misc: magic and mask. */
const magic = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`;
const mask = String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`;

suite('RUN for another processor', needs, () => {
  let work: TempFolder;
  let store: string;
  /** What this test has changed of the kernel, undone at its end. */
  const undo: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    work = await tempFolder('foreign');
    store = join(work.path, 'store');
    await arm64Busybox(join(work.path, 'context'));
    if (existsSync(join(binfmt, 'status'))) return;
    await must(command('mount', ['-t', 'binfmt_misc', 'binfmt_misc', binfmt]));
    undo.push(() => command('umount', [binfmt]));
  });
  afterAll(async () => {
    for (const each of undo.toReversed()) await each();
    await work[Symbol.asyncDispose]();
  });

  /** Debian's own, for a processor that this machine need not have. */
  async function arm64Busybox(context: string): Promise<void> {
    const apt = join(work.path, 'apt');
    for (const folder of ['lists/partial', 'cache/archives/partial'])
      mkdirSync(join(apt, folder), { recursive: true });
    const options = [
      ...[
        '-o',
        'APT::Architecture=arm64',
        '-o',
        'APT::Architectures::=arm64',
        '-o',
        'Acquire::Languages=none',
      ],
      ...[
        '-o',
        `Dir::State::lists=${apt}/lists`,
        '-o',
        `Dir::Cache=${apt}/cache`,
        '-o',
        'APT::Sandbox::User=root',
      ],
    ];
    await must(command('apt-get', [...options, 'update', '-qq']));
    await must(command('apt-get', [...options, 'download', '-qq', 'busybox-static:arm64'], { cwd: apt }));
    const [deb = ''] = readdirSync(apt).filter((file) => file.endsWith('.deb'));
    await must(command('dpkg-deb', ['-x', join(apt, deb), join(work.path, 'deb')]));
    mkdirSync(context);
    await must(command('cp', [join(work.path, 'deb/bin/busybox'), context]));
    const lines = [
      'FROM --platform=linux/arm64 scratch',
      'COPY busybox /bin/busybox',
      'RUN ["/bin/busybox", "sh", "-c", "/bin/busybox uname -m >/machine && /bin/busybox id -u >/id"]',
      '',
    ];
    writeFileSync(join(context, 'Dockerfile'), lines.join('\n'));
  }

  const build = (runtime: string, out: string): ReturnType<typeof tsbuild> =>
    tsbuild([
      ...[
        '--root',
        store,
        '--runtime',
        runtime,
        '--no-cache',
        '--network',
        'none',
        '--platform',
        'linux/arm64',
      ],
      ...['-o', out, join(work.path, 'context')],
    ]);

  test('without an emulator: an error before the step starts, which names the package', async () => {
    const entry = join(binfmt, name);
    if (existsSync(entry)) {
      writeFileSync(entry, '0');
      undo.push(() => Promise.resolve(writeFileSync(entry, '1')));
    }
    const { code, stderr } = await build('embedded', join(work.path, 'none'));
    if (existsSync(entry)) writeFileSync(entry, '1');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /error\[STEP_PLATFORM\]: RUN has to execute programs of linux\/arm64 here, and .*binfmt_misc/,
    );
    expect(stderr).toContain('install qemu-user-static');
    expect(stderr).toContain('Dockerfile:3:1');
  });

  test.each(['runc', 'embedded'])('with qemu and binfmt_misc it works on %s', async (runtime) => {
    if (!existsSync(join(binfmt, name))) {
      const line = `:${name}:M::${magic}:${mask}:/usr/bin/qemu-aarch64-static:F`;
      writeFileSync(join(binfmt, 'register'), line);
      undo.push(() => Promise.resolve(writeFileSync(join(binfmt, name), '-1')));
    }
    const out = join(work.path, `out-${runtime}`);
    await must(build(runtime, out));
    expect(await must(command('cat', [join(out, 'machine'), join(out, 'id')]))).toBe('aarch64\n0\n');
  });
});
