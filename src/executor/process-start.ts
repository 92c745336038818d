import { constants, fstatSync, readFileSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { becomes, deathTie } from '../host/agent/items.ts';
import type { Argument, PlanItem, PlannedCall } from '../host/agent/plan.ts';
import * as sys from '../host/container-constants.ts';
import { allCapabilities, capabilityMask } from './capabilities.ts';
import { rlimitNumber } from './rlimits.ts';
import type { RuntimeSpec } from './runtime-spec.ts';

// How a process that is where the step runs becomes the step itself: what `process` of config.json says, as system calls.

export type StepProcess = RuntimeSpec['process'];

/** The number of a new descriptor: those up to 3 are in use, and others only while the plan says so. */
export const FREE = 4;

/** Its limits. */
export function limits({ rlimits = [] }: StepProcess): PlanItem[] {
  return rlimits.map(({ type, soft, hard }) => limit(type, soft, hard));
}

function limit(type: string, soft: number, hard: number): PlanItem {
  const value = (number: number): bigint => (number >= Number.MAX_SAFE_INTEGER ? -1n : BigInt(number));
  return { name: 'prlimit64', args: [0, rlimitNumber(type), [value(soft), value(hard)], null], what: type };
}

/** A terminal of the host that controls the step could be fed with input for the host's shell (TIOCSTI): it gets one of its own. */
export function ownSession({ terminal }: StepProcess): PlanItem[] {
  const [EPERM, TIOCSCTTY] = [1, 0x540e] as const;
  return [
    { name: 'setsid', args: [], what: 'setsid', ignore: EPERM },
    ...(terminal
      ? [{ name: 'ioctl', args: [0, TIOCSCTTY, 0], what: 'the terminal' } satisfies PlanItem]
      : []),
  ];
}

interface StreamsAbout {
  /** Were they made for the step? Else they are those of this process. */
  readonly ownStreams: boolean;
  /** They may belong to the step's user. */
  readonly giveAway: boolean;
}

/** Its standard streams, once /dev is its own. */
export function standardStreams(step: StepProcess, about: StreamsAbout): PlanItem[] {
  return [0, 1, 2].flatMap((fd) => standardStream(fd, step, about));
}

const F_SETFL = 4;
const AT_FDCWD = -100;

/**
 * What a program expects of its standard streams. A descriptor of the host's /dev/null would let the step change that file's mode (fchmod): the
 * container's own is read-only, and for its standard input the step gets a pipe that is at its end, as from runc. A pipe belongs
 * to the user of the step, who may then open /dev/stdout.
 */
function standardStream(fd: number, step: StepProcess, about: StreamsAbout): PlanItem[] {
  const what = 'a standard stream';
  const { uid } = step.user;
  const owned: PlanItem[] = about.giveAway ? [{ name: 'fchown', args: [fd, uid, -1], what }] : [];
  if (about.ownStreams) return step.terminal ? [] : owned;
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

/** Gives up rights in the one order that works; `identity`: becomes the step's user. */
export function rights(step: StepProcess, about: { readonly identity: boolean }): PlanItem[] {
  const { user, capabilities, cwd } = step;
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
    ...(about.identity ? identity(user) : []),
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

function identity(user: StepProcess['user']): PlanItem[] {
  const { uid, gid, additionalGids } = user;
  const groups = Buffer.from(new Uint32Array(additionalGids).buffer);
  return [
    { name: 'setgroups', args: [additionalGids.length, groups], what: 'the groups' },
    { name: 'setresgid', args: [gid, gid, gid], what: 'the group' },
    { name: 'setresuid', args: [uid, uid, uid], what: 'the user' },
  ];
}

/** What it becomes: the first that is there. */
export function programs(step: StepProcess): PlannedCall[] {
  return candidates(step).map((program) => becomes(program, step.args, step.env));
}

/** Where execvp(3) looks. */
function candidates(step: StepProcess): string[] {
  const [command = ''] = step.args;
  if (command === '') return [];
  if (command.includes('/')) return [posix.resolve(step.cwd, command)];
  const path = step.env.findLast((item) => item.startsWith('PATH='))?.slice(5) ?? '';
  return path
    .split(':')
    .map((directory) => posix.resolve(step.cwd, directory === '' ? '.' : directory, command));
}
