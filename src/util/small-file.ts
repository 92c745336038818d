import type { Stats } from 'node:fs';
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';

/**
 * The content of a regular file of at most `limit` bytes. Anything else is refused before it is read: a FIFO would be waited for until somebody writes
 * into it, and a device may have no end. Throws the error of node:fs, or one with the code EFTYPE or EFBIG.
 */
export async function readSmallFile(path: string, limit: number): Promise<Buffer> {
  const file = await open(path, flags);
  try {
    checkSmall(path, await file.stat(), limit);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** `readSmallFile` for the few places where one small read must not wait its turn. */
export function readSmallFileSync(path: string, limit: number): Buffer {
  const fd = openSync(path, flags);
  try {
    checkSmall(path, fstatSync(fd), limit);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

function checkSmall(path: string, stat: Stats, limit: number): void {
  if (stat.isDirectory()) throw refused('EISDIR', `${path} is a directory`);
  if (!stat.isFile()) throw refused('EFTYPE', `${path} is no ordinary file`);
  if (stat.size > limit) throw refused('EFBIG', `${path} has more than ${limit} bytes`);
}

function refused(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
