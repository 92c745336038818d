// The smallest program for each processor: it ends with a status that nothing else ends with. Whether it runs is the proof that programs of
// that processor run here, whatever runs them: the processor itself, qemu, another emulator, or an interpreter that the kernel knows but
// does not show in this container.

/** The status that the programs end with. */
export const PROBE_STATUS = 42;

interface Machine {
  /** e_machine (elf(5)). */
  readonly machine: number;
  readonly bits: 32 | 64;
  readonly bigEndian?: boolean;
  /** e_flags: the calling convention. */
  readonly flags?: number;
  /** exit(42), each instruction as it is in memory. */
  readonly code: string;
}

/** By the names that images use (GOARCH). */
const machines = new Map<string, Machine>(
  Object.entries({
    // mov edi, 42; mov eax, 60; syscall
    amd64: { machine: 62, bits: 64, code: 'bf2a000000 b83c000000 0f05' },
    // mov ebx, 42; mov eax, 1; int 0x80
    '386': { machine: 3, bits: 32, code: 'bb2a000000 b801000000 cd80' },
    // mov x0, 42; mov x8, 93; svc 0
    arm64: { machine: 183, bits: 64, code: '400580d2 a80b80d2 010000d4' },
    // mov r0, 42; mov r7, 1; svc 0
    arm: { machine: 40, bits: 32, flags: 0x0500_0000, code: '2a00a0e3 0170a0e3 000000ef' },
    // li a0, 42; li a7, 93; ecall
    riscv64: { machine: 243, bits: 64, code: '1305a002 9308d005 73000000' },
    // li r0, 1; li r3, 42; sc
    ppc64le: { machine: 21, bits: 64, flags: 2, code: '01000038 2a006038 02000044' },
    // lghi r1, 1; lghi r2, 42; svc 0
    s390x: { machine: 22, bits: 64, bigEndian: true, code: 'a7190001 a729002a 0a00' },
    // li v0, 5058; li a0, 42; syscall
    mips64le: { machine: 8, bits: 64, flags: 0x8000_0007, code: 'c2130224 2a000424 0c000000' },
    // li v0, 4001; li a0, 42; syscall
    mipsle: { machine: 8, bits: 32, flags: 0x7000_1007, code: 'a10f0224 2a000424 0c000000' },
    // ori a0, zero, 42; ori a7, zero, 93; syscall 0
    loong64: { machine: 258, bits: 64, flags: 0x41, code: '04a88003 0b748103 00002b00' },
  }),
);

/** The processors that there is a program for. */
export const probedArchitectures: readonly string[] = [...machines.keys()];

/** The program as a file; undefined for a processor that is not known. */
export function probeProgram(architecture: string): Uint8Array | undefined {
  const machine = machines.get(architecture);
  return machine === undefined ? undefined : executable(machine);
}

/** A static ELF executable with one segment (System V ABI, object files). */
function executable({ machine, bits, bigEndian = false, flags = 0, code }: Machine): Uint8Array {
  const text = Buffer.from(code.replaceAll(' ', ''), 'hex');
  const [header, segment] = bits === 64 ? [64, 56] : [52, 32];
  const file = Buffer.alloc(header + segment + text.length);
  const address = 0x40_0000;
  let at = 0;
  const put = (value: number, bytes: number): void => {
    if (bigEndian) file.writeUIntBE(value, at + Math.max(0, bytes - 6), Math.min(bytes, 6));
    else file.writeUIntLE(value, at, Math.min(bytes, 6));
    at += bytes;
  };
  const word = bits / 8;
  at = file.write('\x7fELF', 'latin1');
  for (const byte of [bits / 32, bigEndian ? 2 : 1, 1]) put(byte, 1);
  at = 16;
  put(2, 2); // ET_EXEC
  put(machine, 2);
  put(1, 4);
  put(address + header + segment, word); // entry
  put(header, word); // program headers
  put(0, word);
  put(flags, 4);
  for (const half of [header, segment, 1, 0, 0, 0]) put(half, 2);
  const [PT_LOAD, READ_EXECUTE] = [1, 5] as const;
  put(PT_LOAD, 4);
  if (bits === 64) put(READ_EXECUTE, 4);
  for (const value of [0, address, address, file.length, file.length]) put(value, word);
  if (bits === 32) put(READ_EXECUTE, 4);
  put(0x1_0000, word); // alignment: the largest page
  file.set(text, at);
  return file;
}
