import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { CgroupHierarchy } from '../host/probe.ts';
import { cgroupHierarchies } from '../host/probe.ts';
import { eventCounter } from '../host/syscalls.ts';
import { BuildError } from '../util/build-error.ts';
import type { CgroupSetting } from './step-limits.ts';
import { cgroupSettings } from './step-limits.ts';
import type { StepLimits } from './step.ts';

/**
 * The cgroup of a step with limits, in each hierarchy that has one of them: its part `step` has the limits, and the step in it. The runtime may
 * remove that part; the whole is there until `removeCgroups`.
 */
export interface LimitedCgroup extends Disposable {
  /** The part, as a runtime is told of it (`linux.cgroupsPath`). */
  readonly runtimePath: string;
  /** Directories of the part in the old hierarchies, by where the hierarchy is mounted. */
  readonly shown: ReadonlyMap<string, string>;
  /** Puts a process into it. */
  join(pid: number): void;
  /** Whether the kernel has killed a process of it for want of memory. */
  oomKilled(): boolean;
}

export const STEP = 'step';
/** The least that the kernel counts, in bytes. */
const PAGE = 4096;

/** Why limits cannot be enforced here. */
export class LimitsRefused extends Error {}

/**
 * Makes a cgroup below this process's own (v1), or beside it (v2: one that has processes can have no such part). Throws LimitsRefused where this
 * process may not, USAGE for limits that the kernel does not take.
 */
export function limitedCgroup(
  limits: StepLimits,
  name: string,
  hierarchies: readonly CgroupHierarchy[] = cgroupHierarchies(),
): LimitedCgroup {
  const directories = new Map<CgroupHierarchy, string>();
  try {
    for (const setting of cgroupSettings(limits)) {
      const { controller } = setting;
      const hierarchy = hierarchyOf(controller, hierarchies);
      const old = hierarchy.controllers.length > 0;
      const parent = parentIn(hierarchy);
      const directory = join(parent, name);
      if (!old) enable(parent, controller);
      if (!directories.has(hierarchy)) {
        refusing(`no cgroup can be made in ${parent}`, () => mkdirSync(directory));
        directories.set(hierarchy, directory);
        if (old && controller === 'cpuset') inheritCpuset(hierarchy.own, directory);
      }
      const part = join(directory, STEP);
      if (!old) enable(directory, controller);
      if (!existsSync(part)) {
        mkdirSync(part);
        if (old && controller === 'cpuset') inheritCpuset(directory, part);
      }
      write(part, old ? setting.v1 : setting.v2, setting);
    }
    return new Limited(directories, { name, memory: limits.memory });
  } catch (error) {
    for (const directory of directories.values()) {
      for (const path of [join(directory, STEP), directory]) if (existsSync(path)) rmdirSync(path);
    }
    throw error;
  }
}

class Limited implements LimitedCgroup {
  readonly runtimePath: string;
  readonly shown: ReadonlyMap<string, string>;
  readonly #parts: readonly string[];
  readonly #events: string | undefined;
  readonly #counter: number | undefined;

  constructor(
    directories: ReadonlyMap<CgroupHierarchy, string>,
    { name, memory }: { readonly name: string; readonly memory: number | undefined },
  ) {
    const all = [...directories];
    const isOld = ({ controllers }: CgroupHierarchy): boolean => controllers.length > 0;
    const unified = all.find(([hierarchy]) => !isOld(hierarchy));
    // A path of v2 is the same for all runtimes; of v1 runc takes one that is relative to its caller's cgroup in each hierarchy.
    this.runtimePath =
      unified === undefined ? `${name}/${STEP}` : `/${relative(unified[0].mount, unified[1])}/${STEP}`;
    const old = all.filter(([hierarchy]) => isOld(hierarchy));
    this.shown = new Map(old.map(([{ mount }, directory]) => [mount, join(directory, STEP)]));
    this.#parts = all.map(([, directory]) => join(directory, STEP));
    this.#events = unified === undefined ? undefined : join(unified[1], 'memory.events');
    const counted = old.find(([{ controllers }]) => controllers.includes('memory'));
    this.#counter =
      counted === undefined || memory === undefined ? undefined : countOomKills(counted[1], memory);
  }

  join(pid: number): void {
    for (const part of this.#parts) writeFileSync(join(part, 'cgroup.procs'), String(pid));
  }

  oomKilled(): boolean {
    if (this.#events !== undefined) return /^oom_kill [1-9]/m.test(readText(this.#events));
    if (this.#counter === undefined) return false;
    try {
      return readSync(this.#counter, Buffer.alloc(8)) === 8;
    } catch {
      // Nothing was counted (EAGAIN).
      return false;
    }
  }

  [Symbol.dispose](): void {
    if (this.#counter !== undefined) closeSync(this.#counter);
  }
}

/**
 * The old hierarchy tells of a kill only in the cgroup whose limit was reached and in its parts, and of those that runtimes remove nothing is
 * known. So the limit that is reached is that of the whole: one page below the one that the step sees.
 */
function countOomKills(directory: string, memory: number): number {
  writeFileSync(join(directory, 'memory.limit_in_bytes'), String(memory - PAGE));
  const counter = eventCounter();
  const control = openSync(join(directory, 'memory.oom_control'), 'r');
  try {
    writeFileSync(join(directory, 'cgroup.event_control'), `${counter} ${control}`);
  } catch (error) {
    closeSync(counter);
    throw error;
  } finally {
    closeSync(control);
  }
  return counter;
}

function hierarchyOf(controller: string, hierarchies: readonly CgroupHierarchy[]): CgroupHierarchy {
  const old = hierarchies.find(({ controllers }) => controllers.includes(controller));
  if (old !== undefined) return old;
  const unified = hierarchies.find(({ controllers }) => controllers.length === 0);
  const known = unified === undefined ? '' : readText(join(parentIn(unified), 'cgroup.controllers'));
  if (unified !== undefined && known.split(/\s+/).includes(controller)) return unified;
  throw new LimitsRefused(`no ${controller} cgroup is delegated to this process`);
}

/** Where the step's cgroup is made. */
function parentIn({ controllers, own, mount }: CgroupHierarchy): string {
  return controllers.length > 0 || own === mount ? own : dirname(own);
}

/** Hands a controller of v2 down to the cgroups in a directory. */
function enable(parent: string, controller: string): void {
  const file = join(parent, 'cgroup.subtree_control');
  if (readText(file).split(/\s+/).includes(controller)) return;
  refusing(`${parent} does not hand down ${controller}`, () => writeFileSync(file, `+${controller}`));
}

/** A new cgroup of v1 has no processors and no memory nodes, and takes no process so. */
function inheritCpuset(own: string, directory: string): void {
  for (const file of ['cpuset.cpus', 'cpuset.mems'])
    refusing(`${file} cannot be set`, () =>
      writeFileSync(join(directory, file), readText(join(own, file)).trim()),
    );
}

function write(directory: string, [file, value]: CgroupSetting['v1'], { flag }: CgroupSetting): void {
  try {
    writeFileSync(join(directory, file), value);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EINVAL' || code === 'ERANGE' || code === 'EBUSY')
      throw new BuildError('USAGE', `the kernel does not take \`${flag} ${value}\` (${code})`);
    // A kernel without a count of swap has no such file.
    if (flag === '--memory-swap') return;
    throw new LimitsRefused(`${flag} cannot be set: ${message}`, { cause: error });
  }
}

function refusing(what: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw new LimitsRefused(`${what} (${(error as NodeJS.ErrnoException).code ?? String(error)})`, {
      cause: error,
    });
  }
}

/** '' where there is none. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
