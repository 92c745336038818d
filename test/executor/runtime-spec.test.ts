import { describe, expect, test } from 'vitest';
import { capabilityMask } from '../../src/executor/capabilities.ts';
import type { ContainerRequest } from '../../src/executor/runtime-spec.ts';
import { runtimeSpec } from '../../src/executor/runtime-spec.ts';
import { expectGolden } from '../support/golden.ts';

const request: ContainerRequest = {
  rootfs: '/store/snapshots/0/merged',
  args: ['/bin/sh', '-c', 'make'],
  env: ['PATH=/bin', 'HOME=/root'],
  cwd: '/src',
  user: { uid: 1000, gid: 1001, additionalGids: [1001, 44] },
  hostname: 'buildkitsandbox',
  terminal: false,
  security: 'sandbox',
  network: 'own',
  mounts: [
    { destination: '/etc/hosts', type: 'bind', source: '/store/snapshots/0/hosts', options: ['bind', 'ro'] },
  ],
  cgroupsPath: 'tsbuild-0',
  host: { arch: 'x64', cgroupV2: true, ids: undefined, capabilities: (1n << 41n) - 1n, sysMounts: [] },
};

describe('config.json', () => {
  test.each([
    ['sandbox', request],
    [
      'insecure',
      {
        ...request,
        security: 'insecure',
        network: 'given',
        devices: [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229 }],
      } as const,
    ],
    [
      'limits',
      {
        ...request,
        host: { ...request.host, arch: 'arm64', cgroupV2: false },
        shmSize: 1048576,
        ulimits: [
          { name: 'nofile', soft: 1024, hard: -1 },
          { name: 'core', soft: 0, hard: 0 },
        ],
      } as const,
    ],
  ])('%s', (name, container) => {
    const spec = runtimeSpec(container);
    // The names of the filter have a golden of their own.
    const shown = structuredClone(spec) as unknown as { linux: { seccomp?: unknown } };
    if (shown.linux.seccomp !== undefined) shown.linux.seccomp = '(see seccomp)';
    expectGolden(`executor/config-${name}.json`, `${JSON.stringify(shown, null, 2)}\n`);
  });

  test('Invariant: inheritable and ambient are empty in the sandbox', () => {
    const { capabilities, noNewPrivileges } = runtimeSpec(request).process;
    expect([capabilities.inheritable, capabilities.ambient, noNewPrivileges]).toEqual([[], [], false]);
    expect(capabilityMask(capabilities.effective)).toBe(0xa80425fbn);
  });

  test("S-SB-6: what is mounted below the host's /sys is masked where a step sees that", () => {
    const sysMounts = [
      '/sys/kernel/debug',
      '/sys/fs/cgroup',
      '/sys/fs/cgroup/cpu',
      '/sys/fs/fuse/connections',
    ];
    const added = (ids: 'many' | undefined, network: 'host' | 'own'): readonly string[] => {
      const host = { ...request.host, ids, sysMounts };
      const usual = runtimeSpec(request).linux.maskedPaths.length;
      return runtimeSpec({ ...request, network, host }).linux.maskedPaths.slice(usual);
    };
    expect(added('many', 'host')).toEqual(['/sys/kernel/debug', '/sys/fs/fuse/connections']);
    expect([added('many', 'own'), added(undefined, 'host')]).toEqual([[], []]);
  });

  test('never asks for a right that the host has not got', () => {
    const host = { ...request.host, capabilities: capabilityMask(['CAP_CHOWN', 'CAP_SYS_ADMIN']) };
    const given = (security: 'sandbox' | 'insecure'): readonly string[] =>
      runtimeSpec({ ...request, host, security }).process.capabilities.bounding;
    expect(given('sandbox')).toEqual(['CAP_CHOWN']);
    expect(given('insecure')).toEqual(['CAP_CHOWN', 'CAP_SYS_ADMIN']);
  });
});
