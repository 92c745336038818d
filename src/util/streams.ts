/** Bytes in order; may be consumed once. A chunk of 16 KiB or more is the consumer's to keep. Readable streams are ByteStreams. */
export type ByteStream = AsyncIterable<Uint8Array>;

/** Reads a whole stream. Throws a RangeError past `limit` bytes: nothing that others send is read without one. */
export async function readAll(stream: ByteStream, limit: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > limit) throw new RangeError(`more than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** A stream of the given chunks. */
export async function* streamOf(...chunks: readonly (Uint8Array | string)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}

const promised = new WeakMap<ByteStream, string>();

/**
 * Marks a stream that throws at its end unless its bytes are those of the digest, so that they are hashed once on their way and not by
 * everybody who passes them on. Only who hashes them may call this, or who hands on such a stream as it is.
 */
export function promising<T extends ByteStream>(stream: T, digest: string | undefined): T {
  if (digest !== undefined) promised.set(stream, digest);
  return stream;
}

/** The digest that a stream's bytes are sure to have once it has ended; undefined where nobody promises one. */
export function promisedDigest(stream: ByteStream): string | undefined {
  return promised.get(stream);
}

/** A stream before it is verified, for who verifies the bytes itself. */
export interface Unverified<T extends ByteStream = ByteStream> {
  /** To be consumed instead of the verified stream. Each chunk is its consumer's alone, who may give its memory away. */
  readonly bytes: () => T;
  /** What to throw when the bytes turn out to have another digest. */
  readonly wrong: (actual: string) => Error;
}

const bare = new WeakMap<ByteStream, Unverified>();

/** Like `promising`, for a stream that can also be had before it is verified. */
export function verifying<T extends ByteStream>(stream: T, digest: string, raw: Unverified): T {
  bare.set(stream, raw);
  return promising(stream, digest);
}

/** Undefined where a stream can be had only as it is. */
export function unverified(stream: ByteStream): Unverified | undefined {
  return bare.get(stream);
}

/** A stream that hands on the bytes of another as they are, and keeps none of them: what was promised of that holds for it. */
export function through<T extends ByteStream>(stream: ByteStream, handOn: (bytes: ByteStream) => T): T {
  const raw = bare.get(stream);
  const made = promising(handOn(stream), promised.get(stream));
  if (raw !== undefined) bare.set(made, { ...raw, bytes: () => handOn(raw.bytes()) });
  return made;
}

const lenders = new WeakMap<ArrayBufferLike, () => void>();

/** A chunk whose source would use its memory again: `takeBack` is called at most once, when a consumer says that it is done with it. */
export function lend<T extends Uint8Array>(chunk: T, takeBack: () => void): T {
  lenders.set(chunk.buffer, takeBack);
  return chunk;
}

/**
 * Nobody will read this chunk again: for consumers that get each chunk for themselves. To say nothing is always right, and leaves
 * the memory to the garbage collector, which lets much more of it come together.
 */
export function giveBack(chunk: Uint8Array): void {
  const takeBack = lenders.get(chunk.buffer);
  lenders.delete(chunk.buffer);
  takeBack?.();
}
