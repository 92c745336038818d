import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { inspectRuntimes } from '../../src/executor/doctor.ts';
import { requireTool, suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';
import { bench, makeRootfs } from './executor-steps.ts';

const holes =
  'CVE-2024-21626, CVE-2024-45310, CVE-2025-31133, CVE-2025-52565, CVE-2025-52881, CVE-2026-41579';

suite('S-P-8: a runc with known holes', ['root', tool('runc'), tool('busybox', 'busybox-static')], () => {
  test('is named by doctor and, once, by a build that asks for it; without being asked for it is not used', async () => {
    await using folder = await tempFolder('vulnerable');
    const layer = makeRootfs(join(folder.path, 'rootfs'));
    const bin = join(folder.path, 'bin');
    mkdirSync(bin);
    // The installed one, by another number.
    const script = `#!/bin/sh\n[ "$1" != --version ] || exec echo runc version 1.1.5\nexec ${requireTool('runc')} "$@"\n`;
    writeFileSync(join(bin, 'runc'), script);
    chmodSync(join(bin, 'runc'), 0o755);
    const env = { ...process.env, PATH: [bin, process.env['PATH']].join(delimiter) };

    const asked = bench(join(folder.path, 'asked'), { runtime: 'runc', layer, env });
    for (let times = 0; times < 2; times += 1) expect((await asked.run('echo ran')).stdout).toBe('ran\n');
    expect(asked.events).toEqual([
      {
        type: 'diagnostic',
        diagnostic: {
          severity: 'warning',
          rule: 'VulnerableRuntime',
          message: `steps run on runc 1.1.5, which has known holes: ${holes}`,
          hint: 'update runc, or build with --runtime embedded',
        },
      },
    ]);

    const embedded = bench(join(folder.path, 'embedded'), { runtime: 'embedded', layer, env });
    await embedded.run('true');
    expect(embedded.events).toEqual([]);

    const report = await inspectRuntimes({ root: join(folder.path, 'doctor'), env });
    expect(report.runtime).toBe('embedded');
    expect(report.checks.find(({ name }) => name === 'runc')).toEqual({
      name: 'runc',
      status: 'warning',
      detail: `1.1.5 works, but has known holes: ${holes}; used only if asked for, or if nothing else works`,
      fix: 'update runc',
    });
  });
});
