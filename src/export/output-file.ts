import { constants, realpathSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { makeDirectories } from '../util/make-directories.ts';
import { outputError } from '../util/system-error.ts';

/** A file, or a stream that the caller owns (stdout); it is not closed. */
export type OutputTarget = { readonly file: string } | { readonly stream: NodeJS.WritableStream };

/**
 * Writes bytes to the target; a file appears whole or not at all (temporary neighbour, then rename), also behind a symbolic link. What is
 * there and is no regular file, a pipe or a device, is written to and stays what it is.
 * Errors: DISK_FULL, OUTPUT_FAILED; what `bytes` throws passes through.
 */
export async function writeOutput(
  target: OutputTarget,
  bytes: ByteStream,
  signal: AbortSignal,
): Promise<void> {
  if ('stream' in target) {
    try {
      await pipeline(bytes, target.stream, { signal, end: false });
    } catch (error) {
      throw outputError(error, 'the output stream');
    }
    return;
  }
  let temporary: string | undefined;
  try {
    if (isWrittenInPlace(target.file)) {
      const handle = await open(target.file, constants.O_WRONLY | constants.O_APPEND);
      await pipeline(bytes, handle.createWriteStream(), { signal });
      return;
    }
    makeDirectories(dirname(target.file));
    const file = realFile(target.file);
    temporary = `${file}.${process.pid}.tmp`;
    // Opened first: a stream that opens its file itself may do so after it has failed, and leave it.
    const handle = await open(temporary, 'wx');
    await pipeline(bytes, handle.createWriteStream(), { signal });
    await rename(temporary, file);
  } catch (error) {
    if (temporary !== undefined) await rm(temporary, { force: true });
    throw outputError(error, target.file);
  }
}

/** Refuses a destination in the store: it would overwrite what the store is made of. Error: USAGE. */
export function refuseStore(destination: string, storeRoot: string): void {
  const store = realPath(storeRoot);
  const path = realPath(destination);
  if (path !== store && !path.startsWith(store + sep)) return;
  throw new BuildError('USAGE', `the output ${destination} is in the store of tsbuild itself`, {
    hint: 'choose a destination outside of it',
  });
}

/** `/dev/stdout` may be a regular file, whose owner holds it open: a rename would take it away from him. */
function isWrittenInPlace(file: string): boolean {
  const path = resolve(file);
  if (/^\/(?:dev|proc)\//.test(path)) return true;
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) {
    throw new BuildError('OUTPUT_FAILED', `${file} is a directory, not a file`, {
      hint: 'name a file in it, or use type=local or tar=false',
    });
  }
  return found !== undefined && !found.isFile();
}

function realFile(file: string): string {
  return statSync(file, { throwIfNoEntry: false }) === undefined ? file : realpathSync(file);
}

/** The path without links, as far as it exists. */
function realPath(path: string): string {
  const whole = resolve(path);
  const parent = dirname(whole);
  try {
    return realpathSync(whole);
  } catch {
    return parent === whole ? whole : join(realPath(parent), basename(whole));
  }
}
