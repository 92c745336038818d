import { createRequire } from 'node:module';
import type { ByteStream } from '../util/streams.ts';

/** The parts of seek-bzip that decode block by block; it has no types, and its one-call form holds everything in memory. */
interface Decoder {
  /** False after the last block; then the reader stands at the checksum of the whole. */
  _init_block(): boolean;
  _read_bunzip(): number;
  readonly reader: { read(bits: number): number };
  readonly streamCRC: number;
}
interface SeekBzip {
  new (
    input: { readByte(): number; read(buffer: Buffer, offset: number, length: number): number },
    output: { writeByte(byte: number): void },
  ): Decoder;
}

/** More than a block can take packed: 32767 groups of 50 symbols of 20 bits, and its tables. */
const enough = 5 * 1024 * 1024;

/**
 * Unpacks bzip2, one block (at most 900 kB before runs are expanded) at a time, in bounded memory; several streams in a row are one.
 * Checksums are verified. Throws a TypeError for what is no bzip2.
 */
export async function* unpackBzip2(packed: ByteStream): AsyncGenerator<Uint8Array> {
  const Bunzip = createRequire(import.meta.url)('seek-bzip') as SeekBzip;
  const source = packed[Symbol.asyncIterator]();
  const input = new Input();
  const output = new Output();
  const fill = async (): Promise<void> => {
    while (input.left < enough && !input.ended) {
      const next = await source.next();
      if (next.done === true) input.ended = true;
      else input.push(next.value);
    }
  };
  try {
    await fill();
    do {
      const decoder = new Bunzip(input, output);
      // oxlint-disable-next-line no-underscore-dangle -- the library names them so
      while (decoder._init_block()) {
        // oxlint-disable-next-line no-underscore-dangle
        decoder._read_bunzip();
        yield* output.take();
        await fill();
      }
      if (decoder.reader.read(32) >>> 0 !== decoder.streamCRC) throw new TypeError('bad checksum');
      await fill();
    } while (input.left > 0);
  } finally {
    await source.return?.();
  }
}

class Input {
  ended = false;
  #chunks: Uint8Array[] = [];
  #at = 0;
  #left = 0;

  get left(): number {
    return this.#left;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#left += chunk.length;
  }

  readByte(): number {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return -1;
    const byte = chunk[this.#at++] as number;
    this.#left -= 1;
    if (this.#at === chunk.length) {
      this.#chunks.shift();
      this.#at = 0;
    }
    return byte;
  }

  read(buffer: Buffer, offset: number, length: number): number {
    let count = 0;
    while (count < length) {
      const byte = this.readByte();
      if (byte < 0) break;
      buffer[offset + count] = byte;
      count += 1;
    }
    return count === 0 ? -1 : count;
  }
}

const chunkSize = 1024 * 1024;

class Output {
  #full: Buffer[] = [];
  #current: Buffer = Buffer.allocUnsafe(chunkSize);
  #at = 0;

  writeByte(byte: number): void {
    if (this.#at === chunkSize) {
      this.#full.push(this.#current);
      this.#current = Buffer.allocUnsafe(chunkSize);
      this.#at = 0;
    }
    this.#current[this.#at++] = byte;
  }

  *take(): Generator<Uint8Array> {
    const all = [...this.#full, this.#current.subarray(0, this.#at)];
    this.#full = [];
    this.#current = Buffer.allocUnsafe(chunkSize);
    this.#at = 0;
    yield* all;
  }
}
