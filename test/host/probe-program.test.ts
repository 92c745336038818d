import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { qemuName } from '../../src/executor/emulators.ts';
import { PROBE_STATUS, probeProgram, probedArchitectures } from '../../src/host/probe-program.ts';
import { findTool, suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

test('there is no program for a processor that nobody knows', () => {
  expect(probeProgram('nosuchcpu')).toBe(undefined);
  expect(probeProgram('constructor')).toBe(undefined);
});

suite('probe programs', ['linux', tool('qemu-aarch64-static', 'qemu-user-static')], () => {
  test.each(probedArchitectures)('for %s: qemu says that it ends as it should', async (architecture) => {
    await using folder = await tempFolder();
    const file = join(folder.path, 'probe');
    writeFileSync(file, probeProgram(architecture) ?? '', { mode: 0o755 });
    const { status, stderr } = spawnSync(findTool(`${qemuName(architecture)}-static`) ?? '', [file], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([PROBE_STATUS, '']);
  });
});
