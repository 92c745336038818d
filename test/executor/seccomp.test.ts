import { describe, expect, test } from 'vitest';
import { allowedSyscalls } from '../../src/executor/seccomp-table.ts';
import type { SyscallAbi } from '../../src/executor/seccomp-table.ts';
import type { SeccompArch } from '../../src/executor/seccomp.ts';
import { ociSeccomp, seccompProgram } from '../../src/executor/seccomp.ts';
import { expectGolden } from '../support/golden.ts';

const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;
const KILL = 0x80000000;
const X32_BIT = 0x40000000;

/** Runs a filter as the kernel does, on one system call. */
function judge(program: Uint8Array, call: { arch: number; number: number; argument?: number }): number {
  const code = Buffer.from(program);
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call.number, 0);
  data.writeUInt32LE(call.arch, 4);
  data.writeUInt32LE((call.argument ?? 0) >>> 0, 16);
  let accumulator = 0;
  for (let at = 0; ; at += 1) {
    const operation = code.readUInt16LE(at * 8);
    const value = code.readUInt32LE(at * 8 + 4);
    const jump = (holds: boolean): number => code.readUInt8(at * 8 + (holds ? 2 : 3));
    if (operation === 0x06) return value;
    if (operation === 0x20) accumulator = data.readUInt32LE(value);
    else if (operation === 0x05) at += value;
    else if (operation === 0x15) at += jump(accumulator === value);
    else if (operation === 0x25) at += jump(accumulator > value);
    else if (operation === 0x35) at += jump(accumulator >= value);
    else if (operation === 0x45) at += jump((accumulator & value) !== 0);
    else throw new Error(`operation ${operation}`);
  }
}

interface Way {
  readonly abi: SyscallAbi;
  readonly filter: SeccompArch;
  /** AUDIT_ARCH_* */
  readonly audit: number;
  readonly clone: number;
  readonly socket: number;
  readonly personality: number;
  readonly refused: readonly number[];
}

// Numbers from the kernel's tables: unshare, mount and keyctl are refused.
const ways: readonly Way[] = [
  {
    abi: 'x64',
    filter: 'x64',
    audit: 0xc000003e,
    clone: 56,
    socket: 41,
    personality: 135,
    refused: [272, 165, 250],
  },
  {
    abi: 'x32',
    filter: 'x64',
    audit: 0xc000003e,
    clone: 56,
    socket: 41,
    personality: 135,
    refused: [272, 165, 250],
  },
  {
    abi: 'x86',
    filter: 'x64',
    audit: 0x40000003,
    clone: 120,
    socket: 359,
    personality: 136,
    refused: [310, 21, 288],
  },
  {
    abi: 'arm64',
    filter: 'arm64',
    audit: 0xc00000b7,
    clone: 220,
    socket: 198,
    personality: 92,
    refused: [97, 40, 219],
  },
  {
    abi: 'arm',
    filter: 'arm64',
    audit: 0x40000028,
    clone: 120,
    socket: 281,
    personality: 136,
    refused: [337, 21, 311],
  },
];

describe.each(ways)('S-SB-3: the system call filter for $abi', (way) => {
  const { abi, audit } = way;
  const program = seccompProgram(way.filter);
  const result = (number: number, argument?: number): number =>
    judge(program, {
      arch: audit,
      number: abi === 'x32' ? number + X32_BIT : number,
      ...(argument === undefined ? {} : { argument }),
    });

  test('answers every number as the table says', () => {
    const allowed = new Set(allowedSyscalls(abi).values());
    const conditional = new Set([way.clone, 435, way.socket, way.personality]);
    const last = Math.max(...[...allowed].filter((number) => number < 0xf0000));
    expect(allowed.size).toBeGreaterThan(250);
    expect(last).toBeGreaterThan(450);
    for (let number = 0; number <= last; number += 1) {
      if (!conditional.has(number))
        expect(result(number), String(number)).toBe(allowed.has(number) ? ALLOW : EPERM);
    }
    expect([result(last + 1), result(100_000)]).toEqual([ENOSYS, ENOSYS]);
  });

  test('refuses namespaces by clone, unshare and clone3', () => {
    const SIGCHLD = 17;
    expect(result(way.clone, SIGCHLD)).toBe(ALLOW);
    for (const flag of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
      expect(result(way.clone, SIGCHLD | flag)).toBe(EPERM);
    expect(result(435)).toBe(ENOSYS);
  });

  test('refuses mounts and keys, vsock and odd personalities', () => {
    expect(way.refused.map((number) => result(number))).toEqual([EPERM, EPERM, EPERM]);
    expect([2, 10, 1, 16].map((family) => result(way.socket, family))).toEqual([ALLOW, ALLOW, ALLOW, ALLOW]);
    expect(result(way.socket, 40)).toBe(EPERM);
    expect([0, 8, 0x20000, 0x20008, 0xffffffff].map((value) => result(way.personality, value))).toEqual(
      Array.from({ length: 5 }, () => ALLOW),
    );
    expect(result(way.personality, 0x40000)).toBe(EPERM);
  });
});

test.each(['x64', 'arm64'] as const)('the filter for %s as the OCI runtimes get it', (name) => {
  expectGolden(`executor/seccomp-${name}.json`, `${JSON.stringify(ociSeccomp(name), null, 1)}\n`);
});

test('32-bit ARM has calls of its own beyond all others', () => {
  const SET_TLS = 0xf0005;
  const USR26 = 0xf0003;
  const answers = [SET_TLS, USR26].map((number) =>
    judge(seccompProgram('arm64'), { arch: 0x40000028, number }),
  );
  expect(answers).toEqual([ALLOW, EPERM]);
});

test('programs of another machine are killed', () => {
  const riscv = 0xc00000f3;
  expect(judge(seccompProgram('x64'), { arch: riscv, number: 1 })).toBe(KILL);
  expect(judge(seccompProgram('arm64'), { arch: 0xc000003e, number: 1 })).toBe(KILL);
});
