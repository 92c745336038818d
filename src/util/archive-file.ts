import { closeSync, constants, createReadStream, fstatSync, openSync } from 'node:fs';
import type { Readable } from 'node:stream';

/**
 * Opens an archive: a regular file, or a pipe that this process was given open (`/dev/stdin`, `<(...)`). Anything else is refused before it
 * is read: a device may have no end, and a FIFO would be waited for until somebody writes into it. Throws the error of node:fs, or one with the
 * code EISDIR or EFTYPE.
 */
export function openArchiveFile(path: string, signal?: AbortSignal): Readable {
  const options = signal === undefined ? {} : { signal };
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  const stat = fstatSync(fd);
  if (stat.isFile()) return createReadStream(path, { ...options, fd });
  closeSync(fd);
  const given = /^\/(?:dev\/stdin|(?:dev|proc\/self)\/fd\/\d+)$/.test(path);
  if (given && stat.isFIFO()) return createReadStream(path, options);
  const [code, what] = stat.isDirectory() ? ['EISDIR', 'a directory'] : ['EFTYPE', 'no ordinary file'];
  throw Object.assign(new Error(`${path} is ${what}`), { code });
}
