import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/**
 * The content of a regular file of at most `limit` bytes. Anything else is refused before it is read: a FIFO would be waited for until somebody writes
 * into it, and a device may have no end. Throws the error of node:fs, or one with the code EFTYPE or EFBIG.
 */
export async function readSmallFile(path: string, limit: number): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const stat = await file.stat();
    if (stat.isDirectory()) throw refused('EISDIR', `${path} is a directory`);
    if (!stat.isFile()) throw refused('EFTYPE', `${path} is no ordinary file`);
    if (stat.size > limit) throw refused('EFBIG', `${path} has more than ${limit} bytes`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

function refused(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
