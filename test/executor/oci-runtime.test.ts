import { describe, expect, test } from 'vitest';
import { knownHoles, ociRuntime } from '../../src/executor/oci-runtime.ts';
import { runtimeError, startError } from '../../src/executor/start-error.ts';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempFolder } from '../support/temp.ts';

describe('runtimes of the host', () => {
  test.each([
    ['runc', '1.1.15', true],
    ['runc', '1.2.7', true],
    ['runc', '1.2.8', false],
    ['/usr/sbin/runc', '1.3.5', true],
    ['runc', '1.3.6', false],
    ['runc', '1.4.2', true],
    ['runc', '1.4.3', false],
    ['runc', '1.5.0', false],
    ['runc', '2.0.0', false],
    ['crun', '1.8.1', true],
    ['crun', '1.20', false],
    ['crun', '1.21', false],
    ['youki', '0.5.0', false],
    ['runc', undefined, false],
  ])('%s %s has known holes: %s (S-P-8)', (program, version, holes) => {
    expect(knownHoles(program, version) !== undefined).toBe(holes);
  });

  test('the command line has options before `run`, and no shell', () => {
    const command = ociRuntime('/usr/bin/runc', ['--rootless=true']).command({
      ...{ directory: '/a b/$(x)', id: 'tsbuild-1', log: '/l', state: '/s' },
    });
    expect(command).toEqual([
      ...['/usr/bin/runc', '--rootless=true', '--log', '/l', '--log-format', 'json', '--root', '/s'],
      ...['run', '--bundle', '/a b/$(x)', 'tsbuild-1'],
    ]);
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
    const error = startError(said, { args: ['x'], platform: 'linux/arm64' });
    expect([error.code, error.message]).toEqual(['STEP_START', message]);
  });
});
