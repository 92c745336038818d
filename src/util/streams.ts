/** Bytes in order; may be consumed once. Readable streams are ByteStreams. */
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
