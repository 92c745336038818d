import { allowedSyscalls, allowedSyscalls32, LAST_KNOWN_SYSCALL } from './seccomp-table.ts';

// The filter that Docker's default profile amounts to for its 14 capabilities (S-SB-3): an allow-list, everything else
// fails with EPERM. The same rules exist in two forms: for the config.json of an OCI runtime, and as a BPF program.

export type SeccompArch = 'x64' | 'arm64';

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

/** The filter as runtime-spec `linux.seccomp`. 32-bit x86 programs run, the x32 interface is refused. */
export function ociSeccomp(arch: SeccompArch): OciSeccomp {
  const ALLOW = 'SCMP_ACT_ALLOW';
  const names = allowedSyscalls().map((syscall) => syscall.name);
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures:
      arch === 'x64' ? ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'] : ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
    syscalls: [
      { names: [...names, ...allowedSyscalls32()].toSorted(), action: ALLOW },
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

// Classic BPF (linux/bpf_common.h): operation codes that are used here.
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER = 0x25;
const JUMP_GREATER_EQUAL = 0x35;
const JUMP_SET = 0x45;
const RETURN = 0x06;

const RETURN_ALLOW = 0x7fff_0000;
const RETURN_ERRNO = 0x0005_0000;
const RETURN_KILL = 0x8000_0000;

const native = {
  x64: { audit: 0xc000_003e, clone: 56, clone3: 435, socket: 41, personality: 135 },
  arm64: { audit: 0xc000_00b7, clone: 220, clone3: 435, socket: 198, personality: 92 },
} as const;

/** struct sock_filter */
export type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, value: number];

/**
 * The same filter as an array of struct sock_filter, for SECCOMP_SET_MODE_FILTER. Stricter in one point: programs of another
 * architecture (32-bit ones) are killed.
 */
export function seccompProgram(arch: SeccompArch): Uint8Array {
  const { audit, clone, clone3, socket, personality } = native[arch];
  const allow: Instruction = [RETURN, 0, 0, RETURN_ALLOW];
  const deny: Instruction = [RETURN, 0, 0, RETURN_ERRNO | EPERM];
  const unknown: Instruction = [RETURN, 0, 0, RETURN_ERRNO | ENOSYS];
  // struct seccomp_data: nr at 0, arch at 4, the low half of the first argument at 16 (little endian).
  const argument: Instruction = [LOAD, 0, 0, 16];
  const program: Instruction[] = [
    [LOAD, 0, 0, 4],
    [JUMP_EQUAL, 1, 0, audit],
    [RETURN, 0, 0, RETURN_KILL],
    [LOAD, 0, 0, 0],
    // x32 has this bit set; it would pass for unknown calls else.
    [JUMP_GREATER_EQUAL, 0, 1, 0x4000_0000],
    deny,
    [JUMP_GREATER, 0, 1, LAST_KNOWN_SYSCALL],
    unknown,
    [JUMP_EQUAL, 0, 1, clone3],
    unknown,
    [JUMP_EQUAL, 0, 4, clone],
    argument,
    [JUMP_SET, 0, 1, CLONE_NAMESPACES],
    deny,
    allow,
    [JUMP_EQUAL, 0, 4, socket],
    argument,
    [JUMP_EQUAL, 0, 1, AF_VSOCK],
    deny,
    allow,
    [JUMP_EQUAL, 0, 2 + 2 * PERSONALITIES.length, personality],
    argument,
    ...PERSONALITIES.flatMap((value): Instruction[] => [[JUMP_EQUAL, 0, 1, value], allow]),
    deny,
  ];
  for (const [first, last] of ranges(arch)) {
    // Ranges ascend: a number below this one and above the last is not allowed.
    program.push([JUMP_GREATER_EQUAL, 1, 0, first], deny, [JUMP_GREATER, 1, 0, last], allow);
  }
  program.push(deny);
  return encodeProgram(program);
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

/** The allowed numbers as ascending inclusive ranges. */
function ranges(arch: SeccompArch): [number, number][] {
  const numbers = allowedSyscalls()
    .flatMap((syscall) => syscall[arch] ?? [])
    .toSorted((a, b) => a - b);
  const found: [number, number][] = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last !== undefined && number <= last[1] + 1) last[1] = number;
    else found.push([number, number]);
  }
  return found;
}

/** The architecture of the filter for this process; undefined where there is no table. */
export function seccompArch(): SeccompArch | undefined {
  return process.arch === 'x64' || process.arch === 'arm64' ? process.arch : undefined;
}
