import type { SeccompArch } from './seccomp.ts';
import { auditArch, encodeProgram } from './seccomp.ts';

// What a user namespace with a single id lacks: other owners, and other users to become. Changes of owner are answered by `OwnerSupervisor`;
// to become another user succeeds without being done, so that package managers and the like go on as root.

export type ChownCall = 'chown' | 'fchown' | 'lchown' | 'fchownat';

const chownNumbers: Readonly<Record<SeccompArch, Readonly<Partial<Record<ChownCall, number>>>>> = {
  x64: { chown: 92, fchown: 93, lchown: 94, fchownat: 260 },
  arm64: { fchownat: 54, fchown: 55 },
};

/** setuid, setgid, setreuid, setregid, setgroups, setresuid, setresgid, setfsuid, setfsgid. */
const setIdNumbers: Readonly<Record<SeccompArch, readonly number[]>> = {
  x64: [105, 106, 113, 114, 116, 117, 119, 122, 123],
  arm64: [146, 144, 145, 143, 159, 147, 149, 151, 152],
};

const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;
const ALLOW = 0x7fff_0000;
const NOTIFY = 0x7fc0_0000;
const SUCCEED = 0x0005_0000;

/** The calls that change an owner, by number. */
export function chownCalls(arch: SeccompArch): ReadonlyMap<number, ChownCall> {
  const calls = Object.entries(chownNumbers[arch]) as [ChownCall, number][];
  return new Map(calls.map(([name, number]) => [number, name]));
}

/** The filter, beside the usual one. 32-bit programs get the kernel's own answers: they cannot change owners here. */
export function ownerProgram(arch: SeccompArch): Uint8Array {
  return encodeProgram([
    [LOAD, 0, 0, 4],
    [JUMP_EQUAL, 1, 0, auditArch(arch)],
    [RETURN, 0, 0, ALLOW],
    [LOAD, 0, 0, 0],
    ...[...chownCalls(arch).keys()].flatMap((number) => [
      [JUMP_EQUAL, 0, 1, number] as const,
      [RETURN, 0, 0, NOTIFY] as const,
    ]),
    ...setIdNumbers[arch].flatMap((number) => [
      [JUMP_EQUAL, 0, 1, number] as const,
      [RETURN, 0, 0, SUCCEED] as const,
    ]),
    [RETURN, 0, 0, ALLOW],
  ]);
}
