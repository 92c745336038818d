import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { RootTree } from '../root-tree.ts';

// A cache mount is moved into the root filesystem of a step, and back. Where it is meanwhile is written down, so that the next build brings back
// what a killed one has left.

interface MovedCache {
  /** Absolute in the root filesystem, without links. */
  readonly place: string;
  /** Where it belongs. */
  readonly home: string;
}

const fileName = 'moved-caches.json';

/** Writes down what is about to be moved. */
export function recordMoved(directory: string, caches: readonly MovedCache[]): void {
  if (caches.length > 0) writeFileSync(join(directory, fileName), JSON.stringify(caches), { mode: 0o600 });
}

/** Brings back what a dead step has left below its `directory`. What its place no longer leads to is lost, as a cache may be. */
export function returnMoved(directory: string): void {
  let caches: readonly MovedCache[];
  try {
    caches = JSON.parse(readFileSync(join(directory, fileName), 'utf8')) as MovedCache[];
  } catch {
    // None was moved, or that was not written down to the end.
    return;
  }
  using tree = new RootTree(join(directory, 'rootfs'));
  // Inner ones first.
  for (const { place, home } of caches.toSorted((a, b) => b.place.length - a.place.length)) {
    if (existsSync(home) || tree.plainDirectory(place) !== true) continue;
    tree.at(posix.dirname(place), (_fd, stable) => renameSync(`${stable}/${posix.basename(place)}`, home));
  }
}
