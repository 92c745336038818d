import { expect, test } from 'vitest';
import { requirePrograms, runsHere } from '../../src/executor/foreign-programs.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { missing } from '../support/require.ts';

const host = hostPlatform();
const linux = missing('linux') === undefined;

test('L-FROM-5: programs of this host run here, those of unknown systems and processors do not', async () => {
  expect(await runsHere(host)).toBe(linux);
  expect(await runsHere({ ...host, variant: 'v9' })).toBe(linux);
  expect(await runsHere({ os: 'windows', architecture: host.architecture })).toBe(false);
  expect(await runsHere({ os: 'linux', architecture: 'nosuchcpu' })).toBe(false);
});

test('what cannot run is an error that names platform and package', async () => {
  const required = (os: string, architecture: string): Promise<void> =>
    requirePrograms({ os, architecture }, { ownNamespace: false });
  await expect(required('windows', 'amd64')).rejects.toMatchObject({
    code: 'STEP_PLATFORM',
    message: 'RUN has to execute programs of windows/amd64 here, and this is linux',
  });
  const unknown = required('linux', 'nosuchcpu');
  await expect(unknown).rejects.toMatchObject({
    code: 'STEP_PLATFORM',
    message:
      'RUN has to execute programs of linux/nosuchcpu here, and no qemu-nosuchcpu is registered with binfmt_misc',
  });
  await expect(unknown).rejects.toHaveProperty('hint', expect.stringContaining('qemu-user-static'));
});
