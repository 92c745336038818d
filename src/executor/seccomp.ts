import type { SyscallAbi } from './seccomp-table.ts';
import { allowedSyscalls } from './seccomp-table.ts';

// The filter that Docker's default profile amounts to for its 14 capabilities (S-SB-3): an allow-list, everything else
// fails with EPERM. The same rules exist in two forms: for the config.json of an OCI runtime, and as a BPF program.

export type SeccompArch = 'x64' | 'arm64';

/** The ways into the kernel on each: programs of 32 bits run where the kernel lets them. */
const abis: Readonly<Record<SeccompArch, readonly SyscallAbi[]>> = {
  x64: ['x64', 'x32', 'x86'],
  arm64: ['arm64', 'arm'],
};

const EPERM = 1;
const ENOSYS = 38;
/** All CLONE_NEW* flags: a step makes no namespaces. */
const CLONE_NAMESPACES = 0x7e02_0000;
const AF_VSOCK = 40;
/** PER_LINUX, PER_LINUX32, both with UNAME26, and the query. */
const PERSONALITIES: readonly number[] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

interface OciSyscall {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly {
    readonly index: number;
    readonly value: number;
    readonly valueTwo?: number;
    readonly op: string;
  }[];
}

export interface OciSeccomp {
  readonly defaultAction: string;
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly OciSyscall[];
}

/** The filter as runtime-spec `linux.seccomp`. */
export function ociSeccomp(arch: SeccompArch): OciSeccomp {
  const ALLOW = 'SCMP_ACT_ALLOW';
  const names = new Set(abis[arch].flatMap((abi) => [...allowedSyscalls(abi).keys()]));
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: abis[arch].map((abi) => ociNames[abi]),
    syscalls: [
      { names: [...names].toSorted(), action: ALLOW },
      ...PERSONALITIES.map((value) => ({
        names: ['personality'],
        action: ALLOW,
        args: [{ index: 0, value, op: 'SCMP_CMP_EQ' }],
      })),
      {
        names: ['clone'],
        action: ALLOW,
        args: [{ index: 0, value: CLONE_NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
      },
      { names: ['socket'], action: ALLOW, args: [{ index: 0, value: AF_VSOCK, op: 'SCMP_CMP_NE' }] },
      // Its flags are behind a pointer, which no filter can read: libc falls back to clone.
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
    ],
  };
}

const ociNames: Readonly<Record<SyscallAbi, string>> = {
  x64: 'SCMP_ARCH_X86_64',
  x32: 'SCMP_ARCH_X32',
  x86: 'SCMP_ARCH_X86',
  arm64: 'SCMP_ARCH_AARCH64',
  arm: 'SCMP_ARCH_ARM',
};

// Classic BPF (linux/bpf_common.h): operation codes that are used here.
const LOAD = 0x20;
const JUMP = 0x05;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER = 0x25;
const JUMP_GREATER_EQUAL = 0x35;
const JUMP_SET = 0x45;
const RETURN = 0x06;

const RETURN_ALLOW = 0x7fff_0000;
const RETURN_ERRNO = 0x0005_0000;
const RETURN_KILL = 0x8000_0000;

// AUDIT_ARCH_* (linux/audit.h), and the calls that are judged by an argument.
const X32_BIT = 0x4000_0000;
const machines: Readonly<
  Record<SyscallAbi, { audit: number; clone: number; socket: number; personality: number }>
> = {
  x64: { audit: 0xc000_003e, clone: 56, socket: 41, personality: 135 },
  x32: { audit: 0xc000_003e, clone: 56, socket: 41, personality: 135 },
  x86: { audit: 0x4000_0003, clone: 120, socket: 359, personality: 136 },
  arm64: { audit: 0xc000_00b7, clone: 220, socket: 198, personality: 92 },
  arm: { audit: 0x4000_0028, clone: 120, socket: 281, personality: 136 },
};
/** The same everywhere, as all calls since Linux 5.1. */
const CLONE3 = 435;
/** Calls of 32-bit ARM's own begin here. */
const ARM_OWN = 0x0f_0000;

/** struct sock_filter */
export type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, value: number];

const allow: Instruction = [RETURN, 0, 0, RETURN_ALLOW];
const deny: Instruction = [RETURN, 0, 0, RETURN_ERRNO | EPERM];
const unknown: Instruction = [RETURN, 0, 0, RETURN_ERRNO | ENOSYS];
// struct seccomp_data: nr at 0, arch at 4, the low half of the first argument at 16 (little endian).
const number: Instruction = [LOAD, 0, 0, 0];
const architecture: Instruction = [LOAD, 0, 0, 4];
const argument: Instruction = [LOAD, 0, 0, 16];

/** The same filter as an array of struct sock_filter, for SECCOMP_SET_MODE_FILTER. Programs of any other architecture are killed. */
export function seccompProgram(arch: SeccompArch): Uint8Array {
  return encodeProgram([...abis[arch].flatMap(section), [RETURN, 0, 0, RETURN_KILL]]);
}

/** The rules for one way into the kernel, behind a jump over them for calls that came in another way. */
function section(abi: SyscallAbi): Instruction[] {
  const rules = rulesOf(abi);
  const marked: Partial<Record<SyscallAbi, Instruction>> = {
    // A bit of the number is all that tells these two apart.
    x64: [JUMP_GREATER_EQUAL, 0, 1, X32_BIT],
    x32: [JUMP_GREATER_EQUAL, 1, 0, X32_BIT],
  };
  const mark = marked[abi];
  const body = mark === undefined ? rules : [mark, [JUMP, 0, 0, rules.length] as const, ...rules];
  return [
    architecture,
    [JUMP_EQUAL, 1, 0, machines[abi].audit],
    [JUMP, 0, 0, body.length + 1],
    number,
    ...body,
  ];
}

/** Decides about the call whose number is loaded. */
function rulesOf(abi: SyscallAbi): Instruction[] {
  const bit = abi === 'x32' ? X32_BIT : 0;
  const { clone, socket, personality } = machines[abi];
  const numbers = [...allowedSyscalls(abi).values()].toSorted((a, b) => a - b);
  // Calls later than all of these are newer than this filter: libc falls back to older ones when it is told so.
  const last = Math.max(...numbers.filter((value) => value < ARM_OWN));
  const program: Instruction[] = [
    ...(abi === 'arm' ? [[JUMP_GREATER_EQUAL, 2, 0, ARM_OWN] as const] : []),
    [JUMP_GREATER, 0, 1, last | bit],
    unknown,
    [JUMP_EQUAL, 0, 1, CLONE3 | bit],
    unknown,
    [JUMP_EQUAL, 0, 4, clone | bit],
    argument,
    [JUMP_SET, 0, 1, CLONE_NAMESPACES],
    deny,
    allow,
    [JUMP_EQUAL, 0, 4, socket | bit],
    argument,
    [JUMP_EQUAL, 0, 1, AF_VSOCK],
    deny,
    allow,
    [JUMP_EQUAL, 0, 2 + 2 * PERSONALITIES.length, personality | bit],
    argument,
    ...PERSONALITIES.flatMap((value): Instruction[] => [[JUMP_EQUAL, 0, 1, value], allow]),
    deny,
  ];
  for (const [first, end] of ranges(numbers)) {
    // Ranges ascend: a number below this one and above the last is not allowed.
    program.push([JUMP_GREATER_EQUAL, 1, 0, first | bit], deny, [JUMP_GREATER, 1, 0, end | bit], allow);
  }
  program.push(deny);
  return program;
}

/** An array of struct sock_filter. */
export function encodeProgram(program: readonly Instruction[]): Uint8Array {
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(([code, jumpTrue, jumpFalse, value], index) => {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(jumpTrue, index * 8 + 2);
    bytes.writeUInt8(jumpFalse, index * 8 + 3);
    bytes.writeUInt32LE(value >>> 0, index * 8 + 4);
  });
  return bytes;
}

/** Ascending numbers as inclusive ranges. */
function ranges(numbers: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  for (const value of numbers) {
    const last = found.at(-1);
    if (last !== undefined && value <= last[1] + 1) last[1] = value;
    else found.push([value, value]);
  }
  return found;
}

/** AUDIT_ARCH_* of programs that are not of a compatible kind. */
export function auditArch(arch: SeccompArch): number {
  return machines[arch].audit;
}

/** The architecture of the filter for this process; undefined where there is no table. */
export function seccompArch(): SeccompArch | undefined {
  return process.arch === 'x64' || process.arch === 'arm64' ? process.arch : undefined;
}
