import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busyboxRootfs } from '../support/base-images.ts';
import type { CommandResult } from '../support/cli.ts';
import { command, must } from '../support/cli.ts';
import { binary } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { makeUser } from '../support/users.ts';

// Some hosts give /dev/net/tun to root alone. Each build is in a mount namespace where this one stands in its place.
let folder: TempFolder;
beforeAll(async () => {
  folder = await tempFolder('network');
  for (const [name, mode] of [
    ['open', '666'],
    ['closed', '600'],
  ] as const)
    await must(command('mknod', ['-m', mode, join(folder.path, name), 'c', '10', '200']));
});
afterAll(() => folder[Symbol.asyncDispose]());

/** Builds a step that tells of its network, as a user without rights. */
async function build(
  ids: 'subordinate' | 'none',
  how: {
    readonly runtime: string;
    readonly tun: 'open' | 'closed';
    readonly network: string;
    readonly flags?: readonly string[];
    readonly step?: string;
  },
): Promise<CommandResult> {
  await using user = await makeUser(ids);
  const context = join(user.home, 'context');
  mkdirSync(context);
  copyFileSync(busyboxRootfs(), join(context, 'rootfs.tar'));
  const { step = 'ip addr show eth0 | grep -o "inet 10[.0-9]*"' } = how;
  const dockerfile = `FROM scratch\nADD rootfs.tar /\nRUN ${step}\n`;
  writeFileSync(join(context, 'Dockerfile'), dockerfile);
  const flags = [
    '--progress',
    'plain',
    '--runtime',
    how.runtime,
    '--network',
    how.network,
    ...(how.flags ?? []),
  ];
  const argv = [process.execPath, binary, 'build', ...flags, '-o', 'type=cacheonly', context];
  const asUser = [
    'setpriv',
    '--reuid',
    String(user.uid),
    '--regid',
    String(user.uid),
    '--clear-groups',
    '--',
  ];
  const script = 'mount --bind "$1" /dev/net/tun && shift && exec "$@"';
  return await command(
    'unshare',
    ['-m', 'sh', '-c', script, 'sh', join(folder.path, how.tun), ...asUser, ...argv],
    {
      cwd: user.home,
      env: { HOME: user.home, XDG_RUNTIME_DIR: undefined },
    },
  );
}

const needs = [
  'root',
  tool('runc'),
  tool('newuidmap', 'uidmap'),
  tool('pasta', 'passt'),
  tool('busybox', 'busybox-static'),
] as const;

suite('L-RUN-4: the isolated network of a step without root', needs, () => {
  test.each([
    ['subordinate', 'runc'],
    ['subordinate', 'embedded'],
    ['none', 'embedded'],
  ] as const)('%s ids, %s', async (ids, runtime) => {
    const { code, stderr } = await build(ids, { runtime, tun: 'open', network: 'isolated' });
    expect([code, /^#\d+ [\d.]+ inet 10\.0\.2\.100$/m.test(stderr)], stderr).toEqual([0, true]);
  });

  test.each(['isolated', 'host'])('C-EX-2: host-gateway reaches this host, --network=%s', async (network) => {
    const server = createServer((_, answer) => answer.end('from-the-host'));
    await new Promise<void>((resolve) => {
      server.listen(0, '0.0.0.0', resolve);
    });
    try {
      const { port } = server.address() as AddressInfo;
      const flags = ['--add-host', 'gw:host-gateway', '--allow', 'network.host'];
      const step = `wget -q -O - http://gw:${port}/ && echo`;
      const { code, stderr } = await build('subordinate', {
        runtime: 'runc',
        tun: 'open',
        network,
        flags,
        step,
      });
      expect([code, /^#\d+ [\d.]+ from-the-host$/m.test(stderr)], stderr).toEqual([0, true]);
    } finally {
      server.close();
    }
  });

  test('where /dev/net/tun is closed, isolated is an error that says so', async () => {
    const { code, stderr } = await build('none', { runtime: 'embedded', tun: 'closed', network: 'isolated' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error\[NETWORK_UNAVAILABLE\]: steps cannot have a network of their own: .*tun/m);
    expect(stderr).toContain('= hint: `tsbuild doctor` says what this host lacks');
  });
});
