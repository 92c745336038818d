import { BuildError } from '../util/build-error.ts';
import type { StepLimits } from './step.ts';

/** What is written into a file of a cgroup, in either hierarchy. */
export interface CgroupSetting {
  readonly controller: 'memory' | 'cpu' | 'cpuset';
  /** The limit it comes from, as its flag is called. */
  readonly flag: string;
  readonly v1: readonly [file: string, value: string];
  readonly v2: readonly [file: string, value: string];
}

/** Microseconds: what Docker and the kernel take where nothing is said. */
const PERIOD = 100_000;

/** Limits as the kernel takes them, in the order in which it does. Throws USAGE for limits that contradict each other. */
export function cgroupSettings(limits: StepLimits): CgroupSetting[] {
  const { memory, memorySwap, cpus, cpuShares, cpusetCpus, cpusetMems } = limits;
  const settings: CgroupSetting[] = [];
  const add = (
    controller: CgroupSetting['controller'],
    flag: string,
    files: { readonly v1: CgroupSetting['v1']; readonly v2: CgroupSetting['v2'] },
  ): void => void settings.push({ controller, flag, ...files });
  if (memory !== undefined)
    add('memory', '--memory', {
      v1: ['memory.limit_in_bytes', String(memory)],
      v2: ['memory.max', String(memory)],
    });
  if (memory !== undefined || memorySwap !== undefined) {
    if (memory === undefined) throw new BuildError('USAGE', '--memory-swap needs --memory');
    // Memory and swap together; by default as much swap as memory, as with Docker.
    const both = memorySwap ?? memory * 2;
    if (both !== -1 && both < memory)
      throw new BuildError('USAGE', '--memory-swap is less than --memory: it is the sum of both');
    add('memory', '--memory-swap', {
      v1: ['memory.memsw.limit_in_bytes', String(both)],
      v2: ['memory.swap.max', both === -1 ? 'max' : String(both - memory)],
    });
  }
  const quota = cpus === undefined ? limits.cpuQuota : Math.round(cpus * PERIOD);
  if (cpus !== undefined && (limits.cpuQuota !== undefined || limits.cpuPeriod !== undefined))
    throw new BuildError('USAGE', '--cpus says the same as --cpu-quota and --cpu-period: give one of them');
  const period = limits.cpuPeriod ?? PERIOD;
  const flag = cpus === undefined ? '--cpu-quota' : '--cpus';
  if (limits.cpuPeriod !== undefined || quota !== undefined) {
    const cpuMax: CgroupSetting['v2'] = [
      'cpu.max',
      `${quota === undefined || quota < 0 ? 'max' : quota} ${period}`,
    ];
    add('cpu', '--cpu-period', { v1: ['cpu.cfs_period_us', String(period)], v2: cpuMax });
    if (quota !== undefined) add('cpu', flag, { v1: ['cpu.cfs_quota_us', String(quota)], v2: cpuMax });
  }
  if (cpuShares !== undefined)
    add('cpu', '--cpu-shares', {
      v1: ['cpu.shares', String(cpuShares)],
      // From 2 to 262144 there, from 1 to 10000 here, as all runtimes count.
      v2: ['cpu.weight', String(Math.floor(1 + ((Math.max(cpuShares, 2) - 2) * 9999) / 262_142))],
    });
  if (cpusetCpus !== undefined)
    add('cpuset', '--cpuset-cpus', { v1: ['cpuset.cpus', cpusetCpus], v2: ['cpuset.cpus', cpusetCpus] });
  if (cpusetMems !== undefined)
    add('cpuset', '--cpuset-mems', { v1: ['cpuset.mems', cpusetMems], v2: ['cpuset.mems', cpusetMems] });
  return settings;
}
