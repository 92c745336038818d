import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { delimiter, join, relative } from 'node:path';

// What this host can do. Reading a few files of /proc and /sys costs microseconds.

/** Directories in which programs of the system are, also where a user's PATH leaves them out. */
const systemPath: readonly string[] = [
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
  '/sbin',
  '/bin',
];

/** The PATH for helper programs: the user's absolute directories, then the system's. */
export function helperPath(env: NodeJS.ProcessEnv): string {
  const own = (env['PATH'] ?? '').split(delimiter).filter((directory) => directory.startsWith('/'));
  return [...new Set([...own, ...systemPath])].join(delimiter);
}

/** Absolute path of a program; undefined where it is not found. */
export function findProgram(name: string, path: string): string | undefined {
  const candidates = name.includes('/')
    ? [name]
    : path.split(delimiter).map((directory) => join(directory, name));
  return candidates.find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK);
      return statSync(candidate).isFile();
    } catch {
      return false;
    }
  });
}

/** `major.minor` of the running kernel, as one number: 5.11 is 5011. */
export function kernelVersion(): number {
  const [major = 0, minor = 0] = release()
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  return major * 1000 + minor;
}

/** Changes with every start of the machine. */
export function bootId(): string {
  return readText('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
}

/** 'v2' is the unified hierarchy alone. */
export function cgroupMode(): 'v1' | 'hybrid' | 'v2' | 'none' {
  if (existsSync('/sys/fs/cgroup/cgroup.controllers')) return 'v2';
  if (existsSync('/sys/fs/cgroup/unified/cgroup.procs')) return 'hybrid';
  return existsSync('/sys/fs/cgroup/memory') || existsSync('/sys/fs/cgroup/pids') ? 'v1' : 'none';
}

/** A capability set of this process (`CapEff`, `CapBnd`) as a bit mask; 0 where there are none. */
export function capabilitySet(name: 'CapEff' | 'CapBnd'): bigint {
  const hex = new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(readText('/proc/self/status') ?? '')?.[1];
  return hex === undefined ? 0n : BigInt(`0x${hex}`);
}

/** Is this process root with CAP_SYS_ADMIN, if only in its user namespace? It may mount then. */
export function hasRightsOfRoot(): boolean {
  const SYS_ADMIN = 1n << 21n;
  return process.getuid?.() === 0 && (capabilitySet('CapEff') & SYS_ADMIN) !== 0n;
}

/** Does the kernel know a filesystem? undefined: perhaps, as a module that is not loaded. */
export function knowsFilesystem(name: string): true | undefined {
  const known = (readText('/proc/filesystems') ?? '')
    .split('\n')
    .some((line) => line.split('\t')[1] === name);
  return known ? true : undefined;
}

/** How many user namespaces may exist; 0 means switched off. */
export function userNamespaceLimit(): number {
  if (readText('/proc/sys/kernel/unprivileged_userns_clone')?.trim() === '0') return 0;
  return Number(readText('/proc/sys/user/max_user_namespaces') ?? 0);
}

/** AppArmor's own switch against user namespaces (Ubuntu). */
export function appArmorRestrictsUserNamespaces(): boolean {
  return readText('/proc/sys/kernel/apparmor_restrict_unprivileged_userns')?.trim() === '1';
}

/** Ids of the host that belong to a user besides its own. */
export interface IdRange {
  readonly first: number;
  readonly count: number;
}

/** Ranges in /etc/subuid or /etc/subgid for a user, by name or number. */
export function subordinateIds(
  file: '/etc/subuid' | '/etc/subgid',
  user: { readonly name: string; readonly uid: number },
): IdRange[] {
  return (readText(file) ?? '').split('\n').flatMap((line) => {
    const [name, first, count] = line.split(':');
    const range = { first: Number(first), count: Number(count) };
    const isOurs = name !== undefined && (name === user.name || name === String(user.uid));
    return isOurs && range.first > 0 && range.count > 0 ? [range] : [];
  });
}

/**
 * Which ids this process has, in a user namespace that has not all of them: a short word that says the same for the same map.
 * undefined: in one where every id is itself.
 */
export function mappedIds(): string | undefined {
  const maps = ['uid_map', 'gid_map'].map((name) => readText(`/proc/self/${name}`) ?? '');
  const words = maps.map((map) => map.trim().split(/\s+/).join('.'));
  return words.every((map) => map === '' || map === '0.0.4294967295') ? undefined : words.join('-');
}

/** Has this process's user namespace no id but that of its root? */
export function hasSingleId(): boolean {
  return /^\s*\d+\s+\d+\s+1\s*$/.test(readText('/proc/self/uid_map') ?? '');
}

/** One of the trees of cgroups that are mounted here. */
export interface CgroupHierarchy {
  /** Of hierarchy v1: `cpu`, `memory`, `name=systemd`. Empty for v2. */
  readonly controllers: readonly string[];
  readonly mount: string;
  /** The directory of this process's own cgroup, below `mount`. */
  readonly own: string;
}

/** The hierarchies in which this process has a cgroup that can be seen. */
export function cgroupHierarchies(): CgroupHierarchy[] {
  const mounts = new Map<string, { readonly root: string; readonly mount: string }>();
  for (const line of (readText('/proc/self/mountinfo') ?? '').split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [type, , options = ''] = after.split(' ');
    const [, , , root = '/', mount] = before.split(' ');
    if (mount === undefined) continue;
    if (type === 'cgroup2') mounts.set('', { root, mount });
    if (type === 'cgroup') for (const option of options.split(',')) mounts.set(option, { root, mount });
  }
  return (readText('/proc/self/cgroup') ?? '').split('\n').flatMap((line) => {
    const [, names, ...rest] = line.split(':');
    if (names === undefined) return [];
    const controllers = names.split(',').filter((name) => name !== '');
    const found = mounts.get(controllers[0] ?? '');
    if (found === undefined) return [];
    // In a container only a part of the tree is mounted.
    const below = relative(found.root, rest.join(':'));
    if (below.split('/')[0] === '..') return [];
    return [{ controllers, mount: found.mount, own: join(found.mount, below) }];
  });
}

/** The directories of this process's cgroups, absolute, one for each hierarchy. */
export function ownCgroups(): string[] {
  return cgroupHierarchies().map(({ own }) => own);
}

/** Where something is mounted below a directory, in this process's mount namespace. */
export function mountsBelow(directory: string): string[] {
  const targets = (readText('/proc/self/mountinfo') ?? '')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');
  return targets
    .map((target) =>
      target.replaceAll(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8))),
    )
    .filter((target) => target.startsWith(`${directory}/`));
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
