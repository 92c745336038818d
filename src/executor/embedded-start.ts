import { constants, fstatSync, readFileSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { becomes, deathTie, ordersEndOnExec } from '../host/agent/items.ts';
import type { Argument, PlanItem, PlannedCall } from '../host/agent/plan.ts';
import * as sys from '../host/container-constants.ts';
import { allCapabilities, capabilityMask } from './capabilities.ts';
import type { ContainerStart } from './container-start.ts';
import { takeErrorOutput } from './container-start.ts';
import { mountPlan } from './embedded-mounts.ts';
import { ownerProgram } from './owner-filter.ts';
import { rlimitNumber } from './rlimits.ts';
import type { RuntimeSpec } from './runtime-spec.ts';
import type { SeccompArch } from './seccomp.ts';
import { seccompProgram } from './seccomp.ts';

export interface EmbeddedHost {
  readonly arch: SeccompArch;
  readonly cgroupV2: boolean;
  readonly ids: 'many' | 'single' | undefined;
  /** Where the sandbox's view of an absolute path is. */
  readonly view: (path: string) => string;
  /** Were the standard streams made for the step? Else they are those of this process. */
  readonly ownStreams: boolean;
}

/**
 * What the first process of an embedded container does, in new mount, pid, ipc, uts and perhaps network and cgroup namespaces with a fresh
 * /proc: it mounts, pivots, gives up every right that config.json does not grant, and becomes the step's process.
 */
export function embeddedStart(spec: RuntimeSpec, host: EmbeddedHost): ContainerStart {
  const { process: step, linux } = spec;
  const namespaces = new Set(linux.namespaces.map(({ type }) => type));
  const single = host.ids === 'single';
  const { seccomp } = linux;
  const before: PlanItem[] = [
    ...takeErrorOutput,
    { name: 'umask', args: [0o022], what: 'umask' },
    ...mountPlan(spec, host),
    { name: 'sethostname', args: [spec.hostname, Buffer.byteLength(spec.hostname)], what: 'the host name' },
    ...(namespaces.has('network') ? loopbackUp : []),
    ...(step.rlimits ?? []).map(({ type, soft, hard }) => limit(type, soft, hard)),
    ...[0, 1, 2].flatMap((fd) => standardStream(fd, spec, host)),
    // A terminal of the host that controls the step could be fed with input for the host's shell (TIOCSTI): it gets one of its own.
    { name: 'setsid', args: [], what: 'setsid', ignore: EPERM },
    ...(step.terminal ? [controlledByInput] : []),
    // Before the rights go: a filter without no_new_privs needs CAP_SYS_ADMIN.
    ...(seccomp === undefined ? [] : [filter(seccompProgram(host.arch), 0)]),
  ];
  const listening = single && seccomp !== undefined;
  return {
    before,
    listener: listening ? filter(ownerProgram(host.arch), SECCOMP_FILTER_FLAG_NEW_LISTENER) : undefined,
    after: [...rights(spec, single), ordersEndOnExec],
    programs: candidates(spec).map((program) => becomes(program, step.args, step.env)),
  };
}

const EPERM = 1;
const TIOCSCTTY = 0x540e;
const controlledByInput: PlanItem = { name: 'ioctl', args: [0, TIOCSCTTY, 0], what: 'the terminal' };
const SECCOMP_FILTER_FLAG_NEW_LISTENER = 8;

function filter(program: Uint8Array, flags: number): PlannedCall {
  const SECCOMP_SET_MODE_FILTER = 1;
  // struct sock_fprog: the number of instructions, and where they are.
  const description = [program.length / 8, program];
  return {
    name: 'seccomp',
    args: [SECCOMP_SET_MODE_FILTER, flags, description],
    what: 'the system call filter',
  };
}

/** The number of a new descriptor: those up to 3 are in use, and others only while the plan says so. */
const FREE = 4;

const loopbackUp: readonly PlanItem[] = ((): PlanItem[] => {
  const [AF_INET, SOCK_DGRAM, SIOCSIFFLAGS, IFF_UP_RUNNING] = [2, 2, 0x8914, 0x41] as const;
  const request = Buffer.alloc(40);
  request.write('lo');
  request.writeInt16LE(IFF_UP_RUNNING, 16);
  return [
    { name: 'socket', args: [AF_INET, SOCK_DGRAM, 0], what: 'a socket' },
    { name: 'ioctl', args: [FREE, SIOCSIFFLAGS, request], what: 'the network device lo' },
    { name: 'close', args: [FREE], what: 'a socket' },
  ];
})();

function limit(type: string, soft: number, hard: number): PlanItem {
  const value = (number: number): bigint => (number >= Number.MAX_SAFE_INTEGER ? -1n : BigInt(number));
  return { name: 'prlimit64', args: [0, rlimitNumber(type), [value(soft), value(hard)], null], what: type };
}

/**
 * What a program expects of its standard streams. A descriptor of the host's /dev/null would let the step change that file's mode (fchmod): the
 * container's own is read-only, and for its standard input the step gets a pipe that is at its end, as from runc. A pipe belongs
 * to the user of the step, who may then open /dev/stdout.
 */
function standardStream(fd: number, spec: RuntimeSpec, host: EmbeddedHost): PlanItem[] {
  const what = 'a standard stream';
  const { uid } = spec.process.user;
  const owned: PlanItem[] = host.ids === 'single' ? [] : [{ name: 'fchown', args: [fd, uid, -1], what }];
  if (host.ownStreams) return spec.process.terminal ? [] : owned;
  const stat = fstatSync(fd);
  // Node makes some of them non-blocking, which programs do not expect.
  const flags = Number.parseInt(
    /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0',
    8,
  );
  const blocking: PlanItem = { name: 'fcntl', args: [fd, F_SETFL, flags & ~constants.O_NONBLOCK], what };
  if (!stat.isCharacterDevice() || stat.rdev !== statSync('/dev/null').rdev)
    return stat.isFIFO() ? [...owned, blocking] : [blocking];
  // The lowest free number is the one that was just closed.
  const close: PlanItem = { name: 'close', args: [fd], what };
  if (fd !== 0) return [close, { name: 'openat', args: [AT_FDCWD, '/dev/null', constants.O_RDWR, 0], what }];
  const ends = Buffer.alloc(8);
  return [close, { name: 'pipe2', args: [ends, 0], what }, { name: 'close', args: [FREE], what }, ...owned];
}

const F_SETFL = 4;
const AT_FDCWD = -100;

/** Gives up rights in the one order that works. */
function rights(spec: RuntimeSpec, single: boolean): PlanItem[] {
  const { user, capabilities, cwd } = spec.process;
  const prctl = (what: string, args: readonly Argument[]): PlanItem => ({ name: 'prctl', args, what });
  const bounding = capabilityMask(capabilities.bounding);
  const last = Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8'));
  const dropped = Array.from({ length: last + 1 }, (_, bit) => bit).filter(
    (bit) => (bounding & (1n << BigInt(bit))) === 0n,
  );
  const sets = [capabilities.effective, capabilities.permitted, capabilities.inheritable].map(capabilityMask);
  const half = (shift: bigint): number[] => sets.map((set) => Number((set >> shift) & 0xffff_ffffn));
  return [
    ...dropped.map((bit) => prctl('the bounding set', [sys.PR_CAPBSET_DROP, bit, 0, 0, 0])),
    prctl('the ambient set', [sys.PR_CAP_AMBIENT, sys.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0]),
    prctl('keeping capabilities', [sys.PR_SET_KEEPCAPS, 1, 0, 0, 0]),
    ...(single ? [] : identity(user)),
    {
      name: 'capset',
      args: [
        Buffer.from(new Uint32Array([0x2008_0522, 0]).buffer), // _LINUX_CAPABILITY_VERSION_3, this thread
        Buffer.from(new Uint32Array([...half(0n), ...half(32n)]).buffer),
      ],
      what: 'the capabilities',
    },
    ...capabilities.ambient.map((name) =>
      prctl('the ambient set', [
        sys.PR_CAP_AMBIENT,
        sys.PR_CAP_AMBIENT_RAISE,
        allCapabilities.indexOf(name),
        0,
        0,
      ]),
    ),
    // A change of user clears the death tie.
    deathTie,
    // No descriptor is left that leads out of the root filesystem: the working directory is in it (CVE-2024-21626).
    { name: 'close_range', args: [FREE, 0xffff_ffff, 0], what: 'closing descriptors' },
    { name: 'chdir', args: [cwd], what: `chdir to cwd ("${cwd}")` },
  ];
}

function identity(user: RuntimeSpec['process']['user']): PlanItem[] {
  const { uid, gid, additionalGids } = user;
  const groups = Buffer.from(new Uint32Array(additionalGids).buffer);
  return [
    { name: 'setgroups', args: [additionalGids.length, groups], what: 'the groups' },
    { name: 'setresgid', args: [gid, gid, gid], what: 'the group' },
    { name: 'setresuid', args: [uid, uid, uid], what: 'the user' },
  ];
}

/** Where execvp(3) looks. */
function candidates({ process: step }: RuntimeSpec): string[] {
  const [command = ''] = step.args;
  if (command === '') return [];
  if (command.includes('/')) return [posix.resolve(step.cwd, command)];
  const path = step.env.findLast((item) => item.startsWith('PATH='))?.slice(5) ?? '';
  return path
    .split(':')
    .map((directory) => posix.resolve(step.cwd, directory === '' ? '.' : directory, command));
}
