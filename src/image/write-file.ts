import { createHash } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync } from 'node:fs';
import type { Digest } from '../oci/digest.ts';
import type { ByteStream } from '../util/streams.ts';
import { writeFully } from '../util/write-fully.ts';

/** Writes a stream to a new file, durably; returns its digest. Throws when there is one already, and the signal's reason. */
export async function writeHashed(bytes: ByteStream, file: string, signal?: AbortSignal): Promise<Digest> {
  const hash = createHash('sha256');
  const fd = openSync(file, 'wx', 0o600);
  try {
    for await (const chunk of bytes) {
      signal?.throwIfAborted();
      hash.update(chunk);
      writeFully(fd, chunk);
    }
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return `sha256:${hash.digest('hex')}`;
}
