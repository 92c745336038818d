import { randomUUID } from 'node:crypto';
import { chmodSync, lstatSync, readdirSync, renameSync, rmdirSync, unlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';

/** What Node's own removal stumbles over, and steps can make: directories without permission bits, or so deep that their names are too long. */
const obstacles: ReadonlySet<string | undefined> = new Set(['EACCES', 'EPERM', 'ENOTEMPTY', 'ENAMETOOLONG']);

/**
 * Removes a file or a directory with all below it; nothing there is no error. Whatever a program has made there goes. Never follows links.
 * Nobody else changes the tree meanwhile. Throws the error of node:fs for what it cannot remove.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (!obstacles.has((error as NodeJS.ErrnoException).code)) throw error;
    await removeFlattened(path);
  }
}

/** Opens each directory up and moves it to the top before it looks into it: so no name becomes long. */
async function removeFlattened(top: string): Promise<void> {
  const waiting = [top];
  // Names that nobody could have guessed.
  const prefix = join(top, randomUUID());
  let count = 0;
  chmodSync(top, 0o700);
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    for (const name of readdirSync(directory, { encoding: 'buffer' })) {
      const place = Buffer.concat([Buffer.from(`${directory}/`), name]);
      if (!lstatSync(place).isDirectory()) {
        unlinkSync(place);
        continue;
      }
      const moved = `${prefix}-${count}`;
      chmodSync(place, 0o700);
      renameSync(place, moved);
      waiting.push(moved);
      count += 1;
      if (count % 256 === 0) await setImmediate();
    }
    // The top itself gets new directories until the end.
    if (directory !== top) rmdirSync(directory);
  }
  rmdirSync(top);
}
