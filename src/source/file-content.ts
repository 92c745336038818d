import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { BuildError } from '../util/build-error.ts';
import { exhaustion, inWords } from '../util/system-error.ts';

/** A regular file as it was when its directory was read. */
export interface KnownFile {
  /** Absolute. */
  readonly file: string;
  /** In the tree, for messages. */
  readonly path: string;
  readonly size: number;
  readonly ino: bigint;
  readonly dev: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

// Read only, never through a link, and never waiting for the other end of a FIFO that took the file's place. Where a
// system has no such flag it is 0.
const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
const chunkSize = 256 * 1024;
const syncLimit = 1024 * 1024;

/**
 * The bytes of a file, exactly `size`. Throws CONTEXT_INVALID when the file cannot be opened, is another one than was seen, or
 * was written meanwhile: its digest may have been taken long before, and what is read now must be what the key says.
 */
export async function* openContent(known: KnownFile): AsyncGenerator<Uint8Array> {
  let handle;
  try {
    handle = await open(known.file, flags);
  } catch (error) {
    throw failed(known, error);
  }
  try {
    if (!same(known, await handle.stat({ bigint: true }))) throw changed(known.path);
    let left = known.size;
    while (left > 0) {
      // A new buffer each time: the consumer may keep the chunk.
      const buffer = Buffer.allocUnsafe(Math.min(left, chunkSize));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) throw changed(known.path);
      left -= bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    const { bytesRead } = await handle.read(Buffer.allocUnsafe(1), 0, 1, null);
    if (bytesRead !== 0 || !same(known, await handle.stat({ bigint: true }))) throw changed(known.path);
  } finally {
    await handle.close();
  }
}

/** sha256 of the bytes, in hex. Small files are read without leaving the thread: that is several times faster. */
export async function digestContent(known: KnownFile): Promise<string> {
  const hash = createHash('sha256');
  if (known.size > syncLimit) {
    for await (const chunk of openContent(known)) hash.update(chunk);
    return hash.digest('hex');
  }
  let fd;
  try {
    fd = openSync(known.file, flags);
  } catch (error) {
    throw failed(known, error);
  }
  try {
    if (!same(known, fstatSync(fd, { bigint: true }))) throw changed(known.path);
    let seen = 0;
    for (;;) {
      const read = readSync(fd, shared, 0, shared.length, null);
      if (read === 0) break;
      seen += read;
      hash.update(shared.subarray(0, read));
    }
    if (seen !== known.size || !same(known, fstatSync(fd, { bigint: true }))) throw changed(known.path);
  } finally {
    closeSync(fd);
  }
  return hash.digest('hex');
}

const shared = Buffer.allocUnsafeSlow(64 * 1024);

function same(known: KnownFile, now: BigIntStats): boolean {
  return (
    now.isFile() &&
    now.ino === known.ino &&
    now.dev === known.dev &&
    Number(now.size) === known.size &&
    now.mtimeNs === known.mtimeNs &&
    now.ctimeNs === known.ctimeNs
  );
}

/** What is read is not what was listed. */
export function changed(path: string): BuildError {
  return new BuildError('CONTEXT_INVALID', `\`${path}\` of the build context changed while it was read`, {
    hint: 'nothing may change the build context during a build; a log that is written meanwhile belongs elsewhere, or in .dockerignore',
    details: { path },
  });
}

function failed(known: KnownFile, cause: unknown): BuildError {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENXIO') return changed(known.path);
  const { path } = known;
  return new BuildError(
    'CONTEXT_INVALID',
    `cannot read \`${path}\` of the build context: ${inWords(cause)}`,
    {
      hint: exhaustion(cause)?.hint ?? 'make it readable, or list it in .dockerignore',
      details: { path, code },
      cause,
    },
  );
}
