import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Makes a directory and the parents that it lacks, like `mkdir -p`. Not by Node's `recursive`: that never ends where the system says ENOENT
 * below a directory that exists, as /proc does. Throws the system's error.
 */
export function makeDirectories(path: string, mode = 0o777): void {
  const missing: string[] = [];
  let at = resolve(path);
  while (statSync(at, { throwIfNoEntry: false }) === undefined && dirname(at) !== at) {
    missing.push(at);
    at = dirname(at);
  }
  if (missing.length === 0) {
    // Says EEXIST for what is no directory.
    if (!statSync(at).isDirectory()) mkdirSync(at, mode);
    return;
  }
  for (const directory of missing.toReversed()) {
    try {
      mkdirSync(directory, mode);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
