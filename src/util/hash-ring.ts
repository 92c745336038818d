/** The memory that a process and its hashing thread share: slots that are filled in turn, each with a few words about it. */
export interface HashRing {
  /** `FILLED` and `EMPTIED` slots so far, counted modulo 2^32. */
  readonly counters: Int32Array;
  /** For each slot: the number of the hash, and how many bytes; `END` asks for the digest, `DROP` forgets the hash. */
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
}

export const FILLED = 0;
export const EMPTIED = 1;
export const END: number = -1;
export const DROP: number = -2;
export const SLOTS = 32;
export const SLOT_SIZE: number = 64 * 1024;

const wordsAt = 8;
const bytesAt: number = wordsAt + SLOTS * 8;

export function hashRing(memory: SharedArrayBuffer): HashRing {
  return {
    counters: new Int32Array(memory, 0, 2),
    words: new Int32Array(memory, wordsAt, SLOTS * 2),
    bytes: new Uint8Array(memory, bytesAt, SLOTS * SLOT_SIZE),
  };
}

export function newRingMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(bytesAt + SLOTS * SLOT_SIZE);
}

/** What the thread says: the digest of a hash, in hex. */
export interface HashAnswer {
  readonly id: number;
  readonly hex: string;
}
