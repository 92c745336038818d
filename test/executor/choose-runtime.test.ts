import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RuntimeSearch } from '../../src/executor/choose-runtime.ts';
import { chooseRuntime, examineRuntime } from '../../src/executor/choose-runtime.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';

const holes =
  'CVE-2024-21626, CVE-2024-45310, CVE-2025-31133, CVE-2025-52565, CVE-2025-52881, CVE-2026-41579';

describe('the choice of a runtime', () => {
  let folder: TempFolder;
  beforeAll(async () => {
    folder = await tempFolder('choose');
    for (const version of ['1.1.5', '1.4.3']) {
      const path = join(folder.path, version);
      mkdirSync(path);
      writeFileSync(join(path, 'runc'), `#!/bin/sh\necho runc version ${version}\n`);
      chmodSync(join(path, 'runc'), 0o755);
    }
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  /** A machine with one version of runc, on which everything works but `broken`. */
  function search(version: string, change: { requested?: string; broken?: string } = {}): RuntimeSearch {
    const { requested, broken } = change;
    return {
      root: join(folder.path, `store-${version}-${broken}`),
      path: join(folder.path, version),
      requested,
      host: { cgroupV2: true, ids: undefined },
      trial: ({ name }) => Promise.resolve(name === broken ? 'broken' : undefined),
    };
  }

  test.each([
    ['a safe runc goes first', '1.4.3', {}, 'runc', undefined],
    ['the embedded one goes before a runc with holes', '1.1.5', {}, 'embedded', undefined],
    ['a runc with holes is the last choice', '1.1.5', { broken: 'embedded' }, 'runc', holes],
    ['and is used when asked for', '1.1.5', { requested: 'runc' }, 'runc', holes],
  ])('S-P-8: %s', async (_what, version, change, name, known) => {
    // Twice: the second time the finding is the one that was kept.
    for (let times = 0; times < 2; times += 1) {
      const { runtime, finding } = await chooseRuntime(search(version, change));
      expect([runtime.name, finding.name, finding.holes]).toEqual([name, name, known]);
    }
  });

  test('S-P-8: what is kept of a trial does not hide a hole that became known later', async () => {
    const about = search('1.1.5');
    await examineRuntime('runc', about);
    const kept = join(about.root, 'probe.json');
    writeFileSync(kept, readFileSync(kept, 'utf8').replace(/,"holes":"[^"]*"/, ''));
    expect((await examineRuntime('runc', about))?.holes).toBe(holes);
  });

  test('one that does not work is told with what it said', async () => {
    await expect(chooseRuntime(search('1.4.3', { requested: 'runc', broken: 'runc' }))).rejects.toMatchObject(
      {
        code: 'SANDBOX_UNAVAILABLE',
        details: { problems: ['runc: broken'] },
      },
    );
  });
});
