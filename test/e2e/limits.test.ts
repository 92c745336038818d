import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busyboxRootfs } from '../support/base-images.ts';
import { tsbuild } from '../support/cli.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { makeUser } from '../support/users.ts';

const tools = [tool('runc'), tool('busybox', 'busybox-static'), tool('newuidmap', 'uidmap')] as const;

/** A context whose Dockerfile runs these commands in a busybox. */
function makeContext(path: string, commands: readonly string[]): string {
  mkdirSync(path);
  copyFileSync(busyboxRootfs(), join(path, 'rootfs.tar'));
  const lines = ['FROM scratch', 'ADD rootfs.tar /', ...commands.map((command) => `RUN ${command}`)];
  writeFileSync(join(path, 'Dockerfile'), `${lines.join('\n')}\n`);
  return path;
}

suite('C-EX-3: a build with limits', ['root', 'memory-cgroup', ...tools], () => {
  let folder: TempFolder;
  beforeAll(async () => {
    folder = await tempFolder('limits');
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  describe.each(['runc', 'embedded'])('on %s', (runtime) => {
    test('says that a step was killed for want of memory, and of how much', async () => {
      const context = makeContext(join(folder.path, runtime), ['tail -c 200m /dev/zero >/big']);
      const flags = ['--root', join(folder.path, 'store'), '--runtime', runtime, '--progress', 'plain'];
      const { code, stderr } = await tsbuild([
        ...flags,
        '-m',
        '32m',
        '--cpus',
        '1',
        '--network',
        'none',
        context,
      ]);
      expect(code).toBe(1);
      expect(stderr).toContain('did not complete successfully: cannot allocate memory');
      expect(stderr).toContain('the 32 MiB of --memory were used up');
      expect(stderr).not.toContain('without the limits');
    });
  });

  test('and limits that contradict each other is a wrong command line', async () => {
    const context = makeContext(join(folder.path, 'wrong'), ['true']);
    const flags = ['--root', join(folder.path, 'store'), '--runtime', 'embedded', '--network', 'none'];
    const { code, stderr } = await tsbuild([...flags, '-m', '32m', '--memory-swap', '16m', context]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--memory-swap is less than --memory')]);
  });

  test('runs without them, with one warning, where its user may make no cgroup', async () => {
    await using user = await makeUser('subordinate');
    const context = makeContext(join(user.home, 'context'), ['echo 1 >/1', 'echo 2 >/2']);
    const { code, stderr } = await user.tsbuild([
      '--progress',
      'plain',
      '--network',
      'none',
      '-m',
      '32m',
      context,
    ]);
    expect(code, stderr).toBe(0);
    expect(stderr.match(/steps run without the limits that were asked for: .*EACCES/g)).toHaveLength(1);
  });
});
