import { capabilitiesIn, allCapabilities, sandboxCapabilities } from './capabilities.ts';
import type { OciSeccomp, SeccompArch } from './seccomp.ts';
import { ociSeccomp } from './seccomp.ts';
import type { Ulimit } from './step.ts';

/** A device file of a container. */
export interface SpecDevice {
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
}

export interface SpecMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** What decides a config.json. Paths are absolute. */
export interface ContainerRequest {
  readonly rootfs: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly hostname: string;
  readonly terminal: boolean;
  readonly security: 'sandbox' | 'insecure';
  /** 'own': a new network namespace with nothing but `lo`; 'given': one that was made around the runtime; 'host': the host's. */
  readonly network: 'own' | 'given' | 'host';
  /** After the default mounts, in this order. */
  readonly mounts: readonly SpecMount[];
  /** Besides those that every container has; for 'insecure' only. */
  readonly devices?: readonly SpecDevice[] | undefined;
  readonly shmSize?: number | undefined;
  readonly ulimits?: readonly Ulimit[] | undefined;
  /** For OCI runtimes. undefined: it makes none, as it may not. */
  readonly cgroupsPath: string | undefined;
  /** What a step sees of its cgroups, where the runtime does not make it so: directories of the old hierarchies, by their mount. */
  readonly shownCgroups?: ReadonlyMap<string, string> | undefined;
  /** Of the host: what its kernel and this process's rights allow. */
  readonly host: {
    readonly arch: SeccompArch | undefined;
    readonly cgroupV2: boolean;
    /** The ids of the user namespace that this is in, whose root may do less than that of the host. undefined: in none. */
    readonly ids: 'many' | 'single' | undefined;
    /** Bounding set of this process: more cannot be given. */
    readonly capabilities: bigint;
    /** What is mounted below /sys. */
    readonly sysMounts: readonly string[];
  };
}

/** config.json of the OCI runtime-spec, as far as tsbuild writes it. */
export interface RuntimeSpec {
  readonly ociVersion: string;
  readonly process: {
    readonly terminal: boolean;
    readonly user: ContainerRequest['user'];
    readonly args: readonly string[];
    readonly env: readonly string[];
    readonly cwd: string;
    readonly capabilities: Readonly<
      Record<'bounding' | 'effective' | 'permitted' | 'inheritable' | 'ambient', readonly string[]>
    >;
    readonly rlimits?: readonly { readonly type: string; readonly soft: number; readonly hard: number }[];
    readonly noNewPrivileges: boolean;
  };
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname: string;
  readonly mounts: readonly SpecMount[];
  readonly linux: {
    readonly cgroupsPath?: string;
    readonly namespaces: readonly { readonly type: string }[];
    readonly devices?: readonly SpecDevice[];
    readonly resources: { readonly devices: readonly { readonly allow: boolean; readonly access: string }[] };
    readonly seccomp?: OciSeccomp;
    readonly maskedPaths: readonly string[];
    readonly readonlyPaths: readonly string[];
  };
}

const maskedPaths: readonly string[] = [
  ...['/proc/acpi', '/proc/asound', '/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/latency_stats'],
  ...['/proc/timer_list', '/proc/timer_stats', '/proc/sched_debug', '/proc/scsi', '/sys/firmware'],
  '/sys/devices/virtual/powercap',
];

const readonlyPaths: readonly string[] = [
  ...['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
];

const DEFAULT_SHM_SIZE = 64 * 1024 * 1024;

/** The bundle's config.json with Docker's defaults (S-SB-1 to S-SB-11). Pure: the same request gives the same bytes. */
export function runtimeSpec(request: ContainerRequest): RuntimeSpec {
  const insecure = request.security === 'insecure';
  const capabilities = capabilitiesIn(
    insecure ? allCapabilities : sandboxCapabilities,
    request.host.capabilities,
  );
  const rlimits = (request.ulimits ?? []).map(({ name, soft, hard }) => ({
    type: `RLIMIT_${name.toUpperCase()}`,
    soft: rlimitValue(soft),
    hard: rlimitValue(hard),
  }));
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: request.terminal,
      user: {
        uid: request.user.uid,
        gid: request.user.gid,
        additionalGids: request.user.additionalGids,
      },
      args: request.args,
      env: request.env,
      cwd: request.cwd,
      // Invariant: inheritable and ambient are empty in the sandbox (CVE-2022-29162).
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        inheritable: insecure ? capabilities : [],
        ambient: insecure ? capabilities : [],
      },
      ...(rlimits.length === 0 ? {} : { rlimits }),
      // setuid programs such as sudo work in a RUN (S-SB-8).
      noNewPrivileges: false,
    },
    root: { path: request.rootfs, readonly: false },
    hostname: request.hostname,
    mounts: [...defaultMounts(request), ...request.mounts],
    linux: {
      // A runtime takes a path that it is given as one that it must be able to make.
      ...(request.cgroupsPath === undefined ? {} : { cgroupsPath: request.cgroupsPath }),
      namespaces: [
        ...['mount', 'pid', 'ipc', 'uts'],
        ...(request.host.cgroupV2 ? ['cgroup'] : []),
        ...(request.network === 'own' ? ['network'] : []),
      ].map((type) => ({ type })),
      ...(insecure ? { devices: request.devices ?? [] } : {}),
      resources: { devices: [{ allow: insecure, access: 'rwm' }] },
      ...(insecure || request.host.arch === undefined ? {} : { seccomp: ociSeccomp(request.host.arch) }),
      maskedPaths: insecure ? [] : [...maskedPaths, ...(hasHostsSys(request) ? sysMasks(request) : [])],
      readonlyPaths: insecure ? [] : readonlyPaths,
    },
  };
}

/** sysfs shows a network, and may be mounted by its owner alone: that of the host is bound as it is. */
function hasHostsSys({ host, network }: ContainerRequest): boolean {
  return host.ids !== undefined && network === 'host';
}

/** What else is mounted below it would not be read-only: an ordinary sysfs has empty directories there. Cgroups have a mount of their own. */
function sysMasks({ host }: ContainerRequest): readonly string[] {
  const cgroups = '/sys/fs/cgroup';
  return host.sysMounts.filter((path) => path !== cgroups && !path.startsWith(`${cgroups}/`));
}

function defaultMounts(request: ContainerRequest): SpecMount[] {
  const access = request.security === 'insecure' ? 'rw' : 'ro';
  const common = ['nosuid', 'noexec', 'nodev'];
  const terminals = ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'];
  const shmSize = request.shmSize ?? DEFAULT_SHM_SIZE;
  const mount = (destination: string, type: string, options: readonly string[]): SpecMount => ({
    destination,
    type,
    source: destination === '/dev/shm' ? 'shm' : type,
    options,
  });
  return [
    mount('/proc', 'proc', common),
    mount('/dev', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
    mount('/dev/pts', 'devpts', [...terminals, ...(request.host.ids === 'single' ? [] : ['gid=5'])]),
    mount('/dev/shm', 'tmpfs', [...common, 'mode=1777', `size=${shmSize}`]),
    mount('/dev/mqueue', 'mqueue', common),
    hasHostsSys(request)
      ? { destination: '/sys', type: 'bind', source: '/sys', options: ['rbind', ...common, access] }
      : mount('/sys', 'sysfs', [...common, access]),
    ...cgroupMounts(request.shownCgroups, [...common, 'relatime'], access),
  ];
}

function cgroupMounts(
  shown: ContainerRequest['shownCgroups'],
  common: readonly string[],
  access: string,
): SpecMount[] {
  const destination = '/sys/fs/cgroup';
  if (shown === undefined || shown.size === 0)
    return [{ destination, type: 'cgroup', source: 'cgroup', options: [...common, access] }];
  return [
    { destination, type: 'tmpfs', source: 'tmpfs', options: [...common, 'mode=755'] },
    ...[...shown].map(([mount, source]) => ({
      destination: `${destination}/${mount.split('/').at(-1)}`,
      type: 'bind',
      source,
      options: ['bind', ...common, access],
    })),
  ];
}

/** RLIM_INFINITY has no exact JavaScript number; the largest exact one is as good. */
function rlimitValue(value: number): number {
  return value < 0 ? Number.MAX_SAFE_INTEGER : value;
}
