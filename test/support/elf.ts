// Programs made of system calls alone: a static ELF file for x86-64 Linux, written byte by byte, so that a test needs neither a compiler
// nor a library, and nothing comes between it and the kernel (elf(5), Intel SDM volume 2).

/** One system call. `x86` goes in by `int 0x80` with the numbers of 32-bit programs; x32 is `x64` with bit 30 in its number. */
export interface SystemCall {
  readonly abi?: 'x64' | 'x86';
  readonly number: number;
  /** Up to six. Bytes are put into the program, and their address is passed; a string also gets its NUL. */
  readonly args?: readonly Argument[];
}

/** `result` is what an earlier call returned, by its place in the list. */
export type Argument = number | bigint | string | Uint8Array | { readonly result: number };

export interface CallProgram {
  readonly calls: readonly SystemCall[];
  /**
   * What would the filters in force say? No call is made then: each that they let pass is answered with ENOSYS, which is what a filter
   * on top of them decides, as its verdict (trace) is weaker than theirs (errno). Sets no_new_privs.
   */
  readonly dryRun?: boolean;
  /** Writes nothing, but ends with the error number of the first call that fails, or with 0. */
  readonly stopOnError?: boolean;
}

/**
 * Where the program is in memory: below 2 GiB, so that 32-bit calls can point into it, and far from where others are, so that it can also be
 * the loader of another.
 */
const BASE = 0x7000_0000;
const HEADERS = 64 + 56;
/** In the sixth argument of the program's own calls: the filter of a dry run lets them pass. */
const OWN_CALL = 0x7075_7265;

/** Bytes of an executable that makes the calls one after the other, and writes what each returned to its standard output: 8 bytes, little endian. */
export function callProgram({ calls, dryRun = false, stopOnError = false }: CallProgram): Uint8Array {
  const data = new Data(calls.length);
  const code: Buffer[] = [];
  if (dryRun) {
    const filter = data.add(
      program([0x20, 0, 0, 56], [0x15, 0, 1, OWN_CALL], [0x06, 0, 0, 0x7fff_0000], [0x06, 0, 0, 0x7ff0_0000]),
    );
    const fprog = Buffer.alloc(16);
    fprog.writeUInt16LE(4, 0);
    fprog.writeBigUInt64LE(filter, 8);
    const PR_SET_NO_NEW_PRIVS = 38;
    code.push(invoke({ number: 157, args: [PR_SET_NO_NEW_PRIVS, 1] }, data));
    const SECCOMP_SET_MODE_FILTER = 1;
    code.push(invoke({ number: 317, args: [SECCOMP_SET_MODE_FILTER, 0, data.add(fprog)] }, data));
  }
  for (const [index, call] of calls.entries()) {
    const result = data.result(index);
    // mov [result], rax
    const store = Buffer.from([0x48, 0x89, 0x04, 0x25, 0, 0, 0, 0]);
    store.writeUInt32LE(result, 4);
    code.push(invoke(call, data), store);
    if (stopOnError) code.push(endOnError);
    else code.push(invoke({ number: 1, args: [1, result, 8, 0, 0, OWN_CALL] }, data));
  }
  code.push(invoke({ number: 231, args: [0, 0, 0, 0, 0, OWN_CALL] }, data));
  return link(Buffer.concat(code), data.bytes());
}

/** What the program has written. */
export function callResults(output: Uint8Array): number[] {
  const bytes = Buffer.from(output);
  return Array.from({ length: Math.floor(bytes.length / 8) }, (_, index) =>
    Number(bytes.readBigInt64LE(index * 8)),
  );
}

/** cmp rax, -4095; jb over the rest; neg eax; mov edi, eax; mov eax, 231 (exit_group); syscall */
const endOnError = Buffer.from('483d01f0ffff720bf7d889c7b8e70000000f05', 'hex');

/** Data come first, at a known place: what each call returned, then what arguments point to. */
class Data {
  readonly #parts: Buffer[];
  #length: number;

  constructor(calls: number) {
    this.#length = calls * 8;
    this.#parts = [Buffer.alloc(this.#length)];
  }

  /** Address of what a call returned. */
  result(index: number): number {
    return BASE + HEADERS + index * 8;
  }

  /** Returns the address. */
  add(bytes: Uint8Array): bigint {
    const address = BASE + HEADERS + this.#length;
    const part = Buffer.concat([bytes, Buffer.alloc(-bytes.length & 7)]);
    this.#parts.push(part);
    this.#length += part.length;
    return BigInt(address);
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

// `mov register, imm64` for the number and the arguments, in the order of each way in.
const registers = {
  x64: ['48b8', '48bf', '48be', '48ba', '49ba', '49b8', '49b9'], // rax, rdi rsi rdx r10 r8 r9
  x86: ['48b8', '48bb', '48b9', '48ba', '48be', '48bf', '48bd'], // rax, rbx rcx rdx rsi rdi rbp
} as const;

function invoke({ abi = 'x64', number, args = [] }: SystemCall, data: Data): Buffer {
  const values = [number, ...args, ...Array.from({ length: 6 - args.length }, () => 0)].map((value) => {
    if (typeof value === 'string') return data.add(Buffer.from(`${value}\0`));
    if (value instanceof Uint8Array) return data.add(value);
    return typeof value === 'object' ? value : BigInt(value);
  });
  const moves = values.map((value, index) => {
    if (typeof value === 'object') return load(registers[abi][index] ?? '', data.result(value.result));
    const move = Buffer.from(`${registers[abi][index]}0000000000000000`, 'hex');
    move.writeBigUInt64LE(BigInt.asUintN(64, value), 2);
    return move;
  });
  // syscall; or int 0x80 and cdqe, which makes 64 bits of the 32 of the result
  return Buffer.concat([...moves, Buffer.from(abi === 'x64' ? '0f05' : 'cd804898', 'hex')]);
}

/** `mov register, [address]`, for a register by the code of its `mov register, imm64`. */
function load(register: string, address: number): Buffer {
  const [rex = 0, opcode = 0] = Buffer.from(register, 'hex');
  // REX.R in place of REX.B: the register is the one that is written.
  const bytes = Buffer.from([rex === 0x49 ? 0x4c : 0x48, 0x8b, ((opcode & 7) << 3) | 4, 0x25, 0, 0, 0, 0]);
  bytes.writeUInt32LE(address, 4);
  return bytes;
}

/** An array of struct sock_filter. */
function program(...instructions: readonly (readonly [number, number, number, number])[]): Buffer {
  return Buffer.concat(
    instructions.map(([code, jumpTrue, jumpFalse, value]) => {
      const bytes = Buffer.from([code, 0, jumpTrue, jumpFalse, 0, 0, 0, 0]);
      bytes.writeUInt32LE(value, 4);
      return bytes;
    }),
  );
}

/** One segment that may be read, written and executed. */
function link(code: Buffer, data: Buffer): Buffer {
  const size = HEADERS + data.length + code.length;
  const file = Buffer.alloc(size);
  Buffer.from('7f454c46020101', 'hex').copy(file);
  file.writeUInt16LE(2, 16); // ET_EXEC
  file.writeUInt16LE(62, 18); // EM_X86_64
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BigInt(BASE + HEADERS + data.length), 24);
  file.writeBigUInt64LE(64n, 32); // the program header follows this one
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  file.writeUInt32LE(1, 64); // PT_LOAD
  file.writeUInt32LE(7, 68);
  file.writeBigUInt64LE(BigInt(BASE), 80);
  file.writeBigUInt64LE(BigInt(BASE), 88);
  file.writeBigUInt64LE(BigInt(size), 96);
  file.writeBigUInt64LE(BigInt(size), 104);
  file.writeBigUInt64LE(4096n, 112);
  data.copy(file, HEADERS);
  code.copy(file, HEADERS + data.length);
  return file;
}
