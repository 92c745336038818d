import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { makeDirectories } from '../util/make-directories.ts';

/** A file, or a stream that the caller owns (stdout); it is not closed. */
export type OutputTarget = { readonly file: string } | { readonly stream: NodeJS.WritableStream };

/**
 * Writes bytes to the target; a file appears whole or not at all (temporary neighbour, then rename).
 * Errors: DISK_FULL, OUTPUT_FAILED; what `bytes` throws passes through.
 */
export async function writeOutput(
  target: OutputTarget,
  bytes: ByteStream,
  signal: AbortSignal,
): Promise<void> {
  if ('stream' in target) {
    await pipeline(bytes, target.stream, { signal, end: false });
    return;
  }
  const temporary = `${target.file}.${process.pid}.tmp`;
  try {
    makeDirectories(dirname(target.file));
    await pipeline(bytes, createWriteStream(temporary, { flags: 'wx' }), { signal });
    await rename(temporary, target.file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw outputError(error, target.file);
  }
}

/** What a failed write to `path` means for the user; errors that are no system errors stay as they are. */
export function outputError(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof BuildError || typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new BuildError('DISK_FULL', `no space left while writing ${path}`, {
      cause: error,
      hint: 'free some space or choose another destination',
    });
  }
  return new BuildError('OUTPUT_FAILED', `cannot write ${path}: ${(error as Error).message}`, {
    cause: error,
  });
}
