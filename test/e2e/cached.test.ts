import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { writeBigBuild } from '../support/big-build.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import { binary } from '../support/paths.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

const needs = ['root', tool('strace'), tool('docker-registry'), tool('busybox', 'busybox-static')] as const;

const mounting = [
  'mount',
  'umount2',
  'fsopen',
  'fsmount',
  'move_mount',
  'open_tree',
  'mount_setattr',
  'pivot_root',
];
const containers = ['unshare', 'setns', 'execve', 'execveat'];
const writing = [
  'open',
  'openat',
  'openat2',
  'creat',
  'mkdir',
  'mkdirat',
  'rename',
  'renameat',
  'renameat2',
  'link',
  'linkat',
  'symlink',
  'symlinkat',
  'unlink',
  'unlinkat',
  'truncate',
];

suite('a second build of 20 instructions, 3 stages, a registry base and 500 files', needs, () => {
  test('starts nothing, mounts nothing, writes nothing below blobs/, and gives the same digest', async () => {
    await using work = await tempFolder('cached');
    await using registry = await startRegistry();
    const store = join(work.path, 'store');
    const context = join(work.path, 'context');
    mkdirSync(context);
    const base = `${registry.host}/base/busybox:1`;
    const seed = join(work.path, 'seed');
    await makeBase(seed, base, busyboxRootfs());
    await must(tsbuild(['push', '--root', seed, base]));
    writeBigBuild(context, base);

    const build = [
      '--root',
      store,
      '--progress',
      'plain',
      '--iidfile',
      join(work.path, 'iid'),
      '-t',
      'localhost/big',
      context,
    ];
    await must(tsbuild(build));
    const id = readFileSync(join(work.path, 'iid'), 'utf8');
    const digest = await inspectDigest(store);

    const trace = join(work.path, 'trace');
    const calls = [...mounting, ...containers, ...writing].map((name) => `?${name}`).join(',');
    const strace = [
      '-f',
      '-qq',
      '-o',
      trace,
      '-s',
      '512',
      '-e',
      `trace=${calls}`,
      process.execPath,
      binary,
      ...build,
    ];
    const second = await command('strace', strace);
    expect(second.code, second.stderr).toBe(0);
    expect(second.stderr).not.toMatch(/ DONE .*\n.*RUN/);
    expect(readFileSync(join(work.path, 'iid'), 'utf8')).toBe(id);
    expect(await inspectDigest(store)).toBe(digest);

    const lines = readFileSync(trace, 'utf8').split('\n');
    const called = (names: readonly string[]): string[] =>
      lines.filter((line) => names.some((name) => new RegExp(`^\\d+ +${name}\\(`).test(line)));
    // The trace sees what there is to see.
    expect(called(writing).filter((line) => line.includes('/store/index.json'))).not.toEqual([]);
    expect(called(mounting)).toEqual([]);
    // The one execve is that of strace, which starts node.
    expect(called(containers)).toHaveLength(1);
    const writes = called(writing).filter(
      (line) =>
        line.includes('/blobs/') &&
        !(/\bopen(at2?)?\(/.test(line) && !/O_(WRONLY|RDWR|CREAT|TRUNC)/.test(line)),
    );
    expect(writes).toEqual([]);
  });
});

async function inspectDigest(store: string): Promise<string> {
  const text = await must(tsbuild(['inspect', '--root', store, 'localhost/big']));
  const [image] = JSON.parse(text) as { Descriptor: { digest: string } }[];
  if (image === undefined) throw new Error(`no image in ${text}`);
  return image.Descriptor.digest;
}
