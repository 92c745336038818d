import { describe, expect, test } from 'vitest';
import { allowedSyscalls } from '../../src/executor/seccomp-table.ts';
import type { SeccompArch } from '../../src/executor/seccomp.ts';
import { ociSeccomp, seccompProgram } from '../../src/executor/seccomp.ts';
import { expectGolden } from '../support/golden.ts';

const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;
const KILL = 0x80000000;
const audit = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;

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
    else if (operation === 0x15) at += jump(accumulator === value);
    else if (operation === 0x25) at += jump(accumulator > value);
    else if (operation === 0x35) at += jump(accumulator >= value);
    else if (operation === 0x45) at += jump((accumulator & value) !== 0);
    else throw new Error(`operation ${operation}`);
  }
}

describe.each(['x64', 'arm64'] as const)('the system call filter for %s', (name: SeccompArch) => {
  const program = seccompProgram(name);
  const arch = audit[name];
  const special = {
    x64: { clone: 56, clone3: 435, socket: 41, personality: 135, unshare: 272, mount: 165, keyctl: 250 },
    arm64: { clone: 220, clone3: 435, socket: 198, personality: 92, unshare: 97, mount: 40, keyctl: 219 },
  }[name];
  const result = (number: number, argument?: number): number =>
    judge(program, { arch, number, ...(argument === undefined ? {} : { argument }) });

  test('as the OCI runtimes get it', () => {
    expectGolden(`executor/seccomp-${name}.json`, `${JSON.stringify(ociSeccomp(name), null, 1)}\n`);
  });

  test('answers every number as the table says', () => {
    const allowed = new Set(allowedSyscalls().flatMap((syscall) => syscall[name] ?? []));
    const conditional = new Set([special.clone, special.clone3, special.socket, special.personality]);
    expect(allowed.size).toBeGreaterThan(250);
    for (let number = 0; number <= 469; number += 1) {
      if (!conditional.has(number))
        expect(result(number), String(number)).toBe(allowed.has(number) ? ALLOW : EPERM);
    }
    expect(result(470)).toBe(ENOSYS);
  });

  test('refuses namespaces by clone, unshare and clone3', () => {
    const SIGCHLD = 17;
    expect(result(special.clone, SIGCHLD)).toBe(ALLOW);
    for (const flag of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
      expect(result(special.clone, SIGCHLD | flag)).toBe(EPERM);
    expect([result(special.unshare), result(special.clone3)]).toEqual([EPERM, ENOSYS]);
  });

  test('refuses vsock, mounts, keys and odd personalities', () => {
    expect([2, 10, 1, 16].map((family) => result(special.socket, family))).toEqual([
      ALLOW,
      ALLOW,
      ALLOW,
      ALLOW,
    ]);
    expect([result(special.socket, 40), result(special.mount), result(special.keyctl)]).toEqual([
      EPERM,
      EPERM,
      EPERM,
    ]);
    expect([0, 8, 0x20000, 0x20008, 0xffffffff].map((value) => result(special.personality, value))).toEqual(
      Array.from({ length: 5 }, () => ALLOW),
    );
    expect(result(special.personality, 0x40000)).toBe(EPERM);
  });

  test('kills programs of another architecture and refuses x32', () => {
    expect(judge(program, { arch: 0x40000003, number: 1 })).toBe(KILL);
    expect(result(0x40000000 + 1)).toBe(EPERM);
  });
});
