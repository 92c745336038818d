import { describe, expect, test } from 'vitest';
import { knownHoles, ociRuntime } from '../../src/executor/oci-runtime.ts';
import type { RuntimeSpec } from '../../src/executor/runtime-spec.ts';
import { runtimeError, startError } from '../../src/executor/start-error.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempFolder } from '../support/temp.ts';

describe('runtimes of the host', () => {
  const races = 'CVE-2025-31133, CVE-2025-52565, CVE-2025-52881';
  test.each([
    ['runc', '1.0.0', `CVE-2024-21626, CVE-2024-45310, ${races}, CVE-2026-41579`],
    ['runc', '1.1.11', `CVE-2024-21626, CVE-2024-45310, ${races}, CVE-2026-41579`],
    ['runc', '1.1.12', `CVE-2024-45310, ${races}, CVE-2026-41579`],
    ['runc', '1.1.15', `${races}, CVE-2026-41579`],
    ['runc', '1.2.7', `${races}, CVE-2026-41579`],
    ['runc', '1.2.8', undefined],
    ['/usr/sbin/runc', '1.3.2', `${races}, CVE-2026-41579`],
    ['/usr/sbin/runc', '1.3.5', 'CVE-2026-41579'],
    ['runc', '1.3.6', undefined],
    ['runc', '1.4.2', 'CVE-2026-41579'],
    ['runc', '1.4.3', undefined],
    ['runc', '1.5.0', undefined],
    ['runc', '2.0.0', undefined],
    ['crun', '1.8.1', 'CVE-2025-24965'],
    ['crun', '1.20', undefined],
    ['crun', '1.21', undefined],
    ['youki', '0.5.0', undefined],
    ['runc', undefined, undefined],
  ])('S-P-8: %s %s has the known holes %s', (program, version, holes) => {
    expect(knownHoles(program, version)).toBe(holes);
  });

  test('the command line has options before `run`, and no shell', () => {
    const { programs } = ociRuntime('/usr/bin/runc', ['--rootless=true']).start({
      ...{ directory: '/a b/$(x)', id: 'tsbuild-1', log: '/l', state: '/s', path: '/bin' },
      ...{ spec: {} as RuntimeSpec, ownStreams: true, view: (path) => path },
    });
    const command = [
      ...['/usr/bin/runc', '--rootless=true', '--log', '/l', '--log-format', 'json', '--root', '/s'],
      ...['run', '--bundle', '/a b/$(x)', 'tsbuild-1'],
    ];
    expect(programs.map(({ args }) => args)).toEqual([
      ['/usr/bin/runc', [...command, 0], ['PATH=/bin', 'LC_ALL=C', 0]],
    ]);
  });

  test('crun is told that its log is a file, whatever its name, and sees no cgroups v2 beside those of v1', () => {
    const { before, programs } = ociRuntime('/usr/bin/crun').start({
      ...{ directory: '/d', id: 'tsbuild-1', log: '/a:b', state: '/s', path: '/bin' },
      ...{ spec: {} as RuntimeSpec, ownStreams: true, view: (path) => path },
    });
    expect(programs[0]?.args[1]).toEqual([
      ...['/usr/bin/crun', '--log', 'file:/a:b', '--log-format', 'json', '--root', '/s'],
      ...['run', '--bundle', '/d', 'tsbuild-1', 0],
    ]);
    const ENOENT = 2;
    expect(before.at(-1)).toMatchObject({ name: 'mount', ignore: ENOENT });
    expect(before.at(-1)).toMatchObject({
      args: expect.arrayContaining(['/sys/fs/cgroup/unified']) as unknown,
    });
  });

  test('the last error of a log counts, warnings and broken lines do not', async () => {
    await using folder = await tempFolder();
    const log = join(folder.path, 'log');
    expect(runtimeError(log)).toBe(undefined);
    writeFileSync(log, '{"level":"warning","msg":"w"}\nnot json\n');
    expect(runtimeError(log)).toBe(undefined);
    writeFileSync(
      log,
      '{"level":"error","msg":"first"}\n{"level":"error","msg":"last"}\n{"level":"warning","msg":"w"}\n',
    );
    expect(runtimeError(log)).toBe('last');
  });

  test.each([
    ['exec: "x": executable file not found in $PATH', '`x` was not found in the image'],
    ['exec user process caused: exec format error', '`x` is made for another processor or is no program'],
    ['exec: "x": permission denied', '`x` cannot be executed: permission denied'],
    ['out of socks', 'the step could not be started: out of socks'],
  ])('`%s` becomes words for the user', (said, message) => {
    const error = startError(said, { args: ['x'], platform: hostPlatform() });
    expect([error.code, error.message]).toEqual(['STEP_START', message]);
  });

  test('a full disk is told as that', () => {
    const said = 'mkdir /x: no space left on device';
    const error = startError(said, { args: ['x'], platform: hostPlatform() });
    expect(error).toMatchObject({ code: 'DISK_FULL', details: { runtime: said } });
  });
});
