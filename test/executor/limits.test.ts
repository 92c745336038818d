import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { limitedCgroup, LimitsRefused } from '../../src/executor/limited-cgroup.ts';
import { cgroupSettings } from '../../src/executor/step-limits.ts';
import { tempFolder } from '../support/temp.ts';

const MiB = 1024 * 1024;

describe('C-EX-3: limits as the kernel takes them', () => {
  const files = (limits: Parameters<typeof cgroupSettings>[0], hierarchy: 'v1' | 'v2'): string[] =>
    cgroupSettings(limits).map((setting) => setting[hierarchy].join(' '));

  test('memory, with as much swap unless something else is said', () => {
    const memory = 64 * MiB;
    expect(files({ memory }, 'v1')).toEqual([
      'memory.limit_in_bytes 67108864',
      'memory.memsw.limit_in_bytes 134217728',
    ]);
    expect(files({ memory }, 'v2')).toEqual(['memory.max 67108864', 'memory.swap.max 67108864']);
    expect(files({ memory, memorySwap: memory }, 'v2')).toEqual(['memory.max 67108864', 'memory.swap.max 0']);
    expect(files({ memory, memorySwap: -1 }, 'v2')).toEqual(['memory.max 67108864', 'memory.swap.max max']);
    expect(files({ memory, memorySwap: -1 }, 'v1').at(-1)).toBe('memory.memsw.limit_in_bytes -1');
  });

  test('processors', () => {
    expect(files({ cpus: 1.5 }, 'v1')).toEqual(['cpu.cfs_period_us 100000', 'cpu.cfs_quota_us 150000']);
    expect(files({ cpus: 1.5 }, 'v2').at(-1)).toBe('cpu.max 150000 100000');
    expect(files({ cpuQuota: 5000, cpuPeriod: 20_000 }, 'v2').at(-1)).toBe('cpu.max 5000 20000');
    expect(files({ cpuPeriod: 20_000 }, 'v2')).toEqual(['cpu.max max 20000']);
    const weights = [2, 1024, 262_144].map((cpuShares) => files({ cpuShares }, 'v2').join());
    expect(weights).toEqual(['cpu.weight 1', 'cpu.weight 39', 'cpu.weight 10000']);
    expect(files({ cpuShares: 512 }, 'v1')).toEqual(['cpu.shares 512']);
    expect(files({ cpusetCpus: '0-1', cpusetMems: '0' }, 'v1')).toEqual(['cpuset.cpus 0-1', 'cpuset.mems 0']);
  });

  test.each([
    [{ memorySwap: 1 }, '--memory-swap needs --memory'],
    [{ memory: 2, memorySwap: 1 }, '--memory-swap is less than --memory: it is the sum of both'],
    [{ cpus: 1, cpuQuota: 1000 }, '--cpus says the same as --cpu-quota and --cpu-period: give one of them'],
  ])('%j contradicts itself', (limits, message) => {
    expect(() => cgroupSettings(limits)).toThrow(expect.objectContaining({ code: 'USAGE', message }));
  });
});

describe('the cgroup of a step with limits', () => {
  test('in hierarchy v2 it is beside that of tsbuild, and the step in a part of it', async () => {
    await using folder = await tempFolder('cgroup');
    const parent = join(folder.path, 'user.slice');
    mkdirSync(join(parent, 'own'), { recursive: true });
    writeFileSync(join(parent, 'cgroup.controllers'), 'cpuset cpu io memory pids\n');
    writeFileSync(join(parent, 'cgroup.subtree_control'), '');
    const hierarchy = { controllers: [], mount: folder.path, own: join(parent, 'own') };
    using cgroup = limitedCgroup({ memory: MiB, cpus: 2 }, 'tsbuild-1', [hierarchy]);
    const made = join(parent, 'tsbuild-1');
    const part = join(made, 'step');
    const written = Object.fromEntries(
      readdirSync(part).map((name) => [name, readFileSync(join(part, name), 'utf8')]),
    );
    expect(written).toEqual({
      'memory.max': '1048576',
      'memory.swap.max': '1048576',
      'cpu.max': '200000 100000',
    });
    // What was handed down last: these files are none of the kernel's.
    for (const path of [parent, made])
      expect(readFileSync(join(path, 'cgroup.subtree_control'), 'utf8')).toBe('+cpu');
    expect(cgroup.runtimePath).toBe('/user.slice/tsbuild-1/step');
    expect(cgroup.shown.size).toBe(0);
    cgroup.join(42);
    expect(readFileSync(join(made, 'step/cgroup.procs'), 'utf8')).toBe('42');
    expect(cgroup.oomKilled()).toBe(false);
    writeFileSync(join(made, 'memory.events'), 'low 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n');
    expect(cgroup.oomKilled()).toBe(true);
  });

  test('is refused where no controller is delegated, and nothing is left', async () => {
    await using folder = await tempFolder('cgroup');
    writeFileSync(join(folder.path, 'cgroup.controllers'), 'pids\n');
    const hierarchy = { controllers: [], mount: folder.path, own: folder.path };
    const message = 'no memory cgroup is delegated to this process';
    for (const hierarchies of [[hierarchy], []])
      expect(() => limitedCgroup({ memory: MiB }, 'tsbuild-1', hierarchies)).toThrow(
        new LimitsRefused(message),
      );
    expect(existsSync(join(folder.path, 'tsbuild-1'))).toBe(false);
  });
});
