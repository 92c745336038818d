import { expect, test } from 'vitest';
import { runsHere } from '../../src/api/runs-here.ts';
import { hostPlatform } from '../../src/oci/platform.ts';

test('L-FROM-5: programs of this host run here, those of unknown systems and processors do not', () => {
  const host = hostPlatform();
  expect(runsHere(host)).toBe(true);
  expect(runsHere({ ...host, variant: 'v9' })).toBe(true);
  expect(runsHere({ os: 'windows', architecture: host.architecture })).toBe(false);
  expect(runsHere({ os: 'linux', architecture: 'nosuchcpu' })).toBe(false);
  expect(runsHere({ os: 'linux', architecture: '386' }) || host.architecture !== 'amd64').toBe(true);
});
