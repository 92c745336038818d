import { BuildError } from '../util/build-error.ts';

/** Longest path that an entry may have, in bytes: the kernel takes no longer one. */
const maxPathBytes = 4095;

/** Longest name in a directory that Linux file systems take, in bytes. */
const maxNameBytes = 255;

/** Components that a path may have unless the caller says otherwise: as many as fit into the longest path. */
export const defaultDepth = 2048;

/**
 * Brings a path from foreign data into the form of `Entry.path`: leading and trailing slashes, empty parts and `.` go; the
 * root becomes ''. Throws IMAGE_INVALID for `..`, NUL, a path that is too long or too deep (S-P-3): names are refused,
 * never repaired.
 */
export function normalizeEntryPath(text: string, depth: number = defaultDepth): string {
  if (text.includes('\0')) throw invalidPath(text, 'contains a NUL byte');
  const parts = text.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw invalidPath(text, 'contains `..`');
  if (parts.length > depth) throw invalidPath(text, `is more than ${depth} directories deep`);
  const path = parts.join('/');
  if (path.length > maxPathBytes || Buffer.byteLength(path) > maxPathBytes) {
    throw invalidPath(text, `is longer than ${maxPathBytes} bytes`);
  }
  return path;
}

/** Throws COPY_INVALID for a path of an image that no file system could hold, and no reader of its layer would take. */
export function checkPathLength(path: string): void {
  if (path.length * 3 <= maxNameBytes) return;
  const long = Buffer.byteLength(path) > maxPathBytes;
  if (!long && !path.split('/').some((name) => Buffer.byteLength(name) > maxNameBytes)) return;
  const why = long
    ? `is longer than ${maxPathBytes} bytes`
    : `has a name that is longer than ${maxNameBytes} bytes`;
  throw new BuildError('COPY_INVALID', `the path \`/${path.slice(0, 100)}\u2026\` ${why}`, {
    hint: 'no file system can hold it: choose a shorter one',
  });
}

function invalidPath(path: string, why: string): BuildError {
  return new BuildError('IMAGE_INVALID', `the path ${JSON.stringify(path.slice(0, 200))} ${why}`, {
    hint: 'names that lead out of an archive, or that no file system can hold, are refused: write it anew',
  });
}

/** The order of the bytes of two names: that of the kernel and of Go, not of UTF-16. */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    // Surrogates stand for code points above U+FFFF, whose UTF-8 sorts after that of any other code unit.
    return rank(x) - rank(y);
  }
  return a.length - b.length;
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** The directory part of an entry's path; '' for what stands in the root. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash === -1 ? '' : path.slice(0, slash);
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function joinPath(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}
