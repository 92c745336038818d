// The agent as a file of the kernel's own format, made in memory: nothing of it is on any disk, and nobody can change it.

export type AgentArch = 'x64' | 'arm64';

/** Machine code, from x64.s and arm64.s. */
export const code: Readonly<Record<AgentArch, string>> = {
  x64:
    'QbwAAAAQTInmuggAAADo6AAAAEmLFCRMiebo3AAAAEyJ40iLA0iD+P90Q0iD+P50YkiLewhIi3MQSItTGEyLUyBMi0MoTItL' +
    'MA8FSYnFSD0B8P//chJIi0s4SIH5ABAAAHQFSAHBdQZIg8NA67RMKeNNiSwkSYlcJAi4AQAAAL8DAAAATInmuhAAAAAPBelz' +
    '////uDgAAAC/EQAAADH2MdJFMdJFMcAPBUmJxUg9AfD//3O6SIXAdK+4AwAAAL8DAAAADwVMie9MieYx0kUx0rg9AAAADwVM' +
    'Oeh0B4P4/HTk6y9BiwQkiceD5390CIHHgAAAAOshD7b86xwxwL8DAAAADwVIhcB+CUgBxkgpwnXqw799AAAAuOcAAAAPBQ==',
  arm64:
    'EwCi0uEDE6oCAYDSQAAAlGICQPnhAxOqPQAAlPQDE6qIAkD5HwUAsSACAFQfCQCx4AIAVICGQKmCjkGphJZCqQEAANT1AwCq' +
    'H/w/scMAAFSJHkD5PwVA8WAAAFQpAQCrYQAAVJQCAZHu//8XlAITy3VSAKkICIDSYACA0uEDE6oCAoDSAQAA1N///xeIG4DS' +
    'IAKA0gEAgNICAIDSAwCA0gQAgNIBAADU9QMAqh/8P7Hi/f9UgP3/tCgHgNJgAIDSAQAA1IgggNLgAxWq4QMTqgIAgNIDAIDS' +
    'AQAA1B8AFeuAAABUHxAAseD+/1QRAAAUaQJAuSAZAHJgAABUAAACEQ0AABQgPQhTCwAAFOgHgNJgAIDSAQAA1B8AAPGtAABU' +
    'IQAAi0IAAOsh//9UwANf1qAPgNLIC4DSAQAA1A==',
};

/** Where messages are put. */
export const BUFFER = 0x1000_0000;
/** How long one may be, in bytes: arguments and environment of a program may have 2 MiB each. */
export const BUFFER_SIZE: number = 16 << 20;

const CODE = 0x40_0000;
const HEADER = 64;
const SEGMENT = 56;

/** A static ELF executable (System V ABI, object files): the code, and a buffer that takes memory only where it is used. */
export function agentProgram(arch: AgentArch): Uint8Array {
  const text = Buffer.from(code[arch], 'base64');
  const start = HEADER + 3 * SEGMENT;
  const file = Buffer.alloc(start + text.length);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  file.writeUInt16LE(2, 16); // ET_EXEC
  file.writeUInt16LE(arch === 'x64' ? 62 : 183, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BigInt(CODE + start), 24); // entry
  file.writeBigUInt64LE(BigInt(HEADER), 32); // program headers
  file.writeUInt16LE(HEADER, 52);
  file.writeUInt16LE(SEGMENT, 54);
  file.writeUInt16LE(3, 56);
  const [R, W, X] = [4, 2, 1] as const;
  segment(file, 0, { type: 1, flags: R | X, address: CODE, inFile: file.length, inMemory: file.length });
  segment(file, 1, { type: 1, flags: R | W, address: BUFFER, inFile: 0, inMemory: BUFFER_SIZE });
  // PT_GNU_STACK: the stack is not executable.
  segment(file, 2, { type: 0x6474_e551, flags: R | W, address: 0, inFile: 0, inMemory: 0 });
  file.set(text, start);
  return file;
}

function segment(
  file: Buffer,
  index: number,
  about: {
    readonly type: number;
    readonly flags: number;
    readonly address: number;
    readonly inFile: number;
    readonly inMemory: number;
  },
): void {
  const at = HEADER + index * SEGMENT;
  file.writeUInt32LE(about.type, at);
  file.writeUInt32LE(about.flags, at + 4);
  file.writeBigUInt64LE(BigInt(about.address), at + 16);
  file.writeBigUInt64LE(BigInt(about.address), at + 24);
  file.writeBigUInt64LE(BigInt(about.inFile), at + 32);
  file.writeBigUInt64LE(BigInt(about.inMemory), at + 40);
  file.writeBigUInt64LE(0x10000n, at + 48); // alignment: the largest page of arm64
}
