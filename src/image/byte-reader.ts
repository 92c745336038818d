import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';

const empty = Buffer.alloc(0);

/** Takes exact numbers of bytes from a stream. Copies only what spans two chunks. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #limit: number;
  #head: Buffer = empty;
  #received = 0;
  #consumed = 0;
  #ended = false;

  /** Throws IMAGE_INVALID from any method once the stream has sent more than `limit` bytes. */
  constructor(stream: ByteStream, limit: number) {
    this.#source = stream[Symbol.asyncIterator]();
    this.#limit = limit;
  }

  /** Bytes taken so far. */
  get offset(): number {
    return this.#consumed;
  }

  /** Exactly `size` bytes; undefined when the stream ends right here. Throws IMAGE_INVALID when it ends inside. */
  async read(size: number): Promise<Buffer | undefined> {
    if (this.#head.length < size) {
      const parts = [this.#head];
      let have = this.#head.length;
      while (have < size) {
        const chunk = await this.#next();
        if (chunk === undefined) {
          if (have === 0) return undefined;
          throw new BuildError('IMAGE_INVALID', 'the archive is cut short');
        }
        parts.push(chunk);
        have += chunk.length;
      }
      this.#head = Buffer.concat(parts, have);
    }
    return this.#take(size);
  }

  /** The next bytes, 1 to `max` of them. Throws IMAGE_INVALID at the end of the stream. */
  async some(max: number): Promise<Buffer> {
    while (this.#head.length === 0) {
      const chunk = await this.#next();
      if (chunk === undefined) throw new BuildError('IMAGE_INVALID', 'the archive is cut short');
      this.#head = chunk;
    }
    return this.#take(Math.min(max, this.#head.length));
  }

  async skip(size: number): Promise<void> {
    for (let left = size; left > 0;) left -= (await this.some(left)).length;
  }

  /** Reads to the end, so that a verifying source can check what it checks at its end. */
  async drain(): Promise<void> {
    this.#consumed += this.#head.length;
    this.#head = empty;
    for (let chunk = await this.#next(); chunk !== undefined; chunk = await this.#next()) {
      this.#consumed += chunk.length;
    }
  }

  /** Lets the source free what it holds. */
  async close(): Promise<void> {
    if (!this.#ended) await this.#source.return?.();
    this.#ended = true;
  }

  #take(size: number): Buffer {
    const taken = this.#head.subarray(0, size);
    this.#head = this.#head.subarray(size);
    this.#consumed += size;
    return taken;
  }

  async #next(): Promise<Buffer | undefined> {
    if (this.#ended) return undefined;
    const result = await this.#source.next();
    if (result.done === true) {
      this.#ended = true;
      return undefined;
    }
    this.#received += result.value.length;
    if (this.#received > this.#limit) {
      throw new BuildError('IMAGE_INVALID', `the archive has more than ${this.#limit} bytes`);
    }
    const { buffer, byteOffset, byteLength } = result.value;
    return Buffer.from(buffer, byteOffset, byteLength);
  }
}
