import { posix } from 'node:path';

/** An absolute clean path of the image; relative ones are below `directory`. A `..` at the root stays there. */
export function absolutePath(path: string, directory: string): string {
  const joined = posix.normalize(posix.join('/', path.startsWith('/') ? path : posix.join(directory, path)));
  return joined.length > 1 && joined.endsWith('/') ? joined.slice(0, -1) : joined;
}

/** Whether a path of an image for this system depends on no working directory. */
export function isAbsolute(path: string, os: string): boolean {
  return os === 'windows' ? /^(?:[A-Za-z]:)?[/\\]/.test(path) : path.startsWith('/');
}

/** The destination of a COPY: as `absolutePath`, with a trailing slash where the text says that it is a directory (L-COPY-6). */
export function copyDestination(path: string, directory: string): string {
  const clean = absolutePath(path, directory);
  const isDirectory = path === '' || /(?:^|\/)\.{0,2}$/.test(path);
  return isDirectory && clean !== '/' ? `${clean}/` : clean;
}

/**
 * A path below a source's root: clean, without a leading slash, `''` for the root; `..` cannot leave it (L-COPY-4). One that tries to
 * keeps its `..` in front, so that an error can say why nothing is found.
 */
export function sourcePath(path: string): string {
  const relative = posix.normalize(path.replace(/^\/+/, '')).replace(/\/$/, '');
  return relative.startsWith('../') ? relative : absolutePath(path, '/').slice(1);
}

/** The same for COPY --parents: the first `/./` stays, as what follows it is the part that is kept (L-COPY-15). */
export function pivotPath(path: string): string {
  const pivot = path.indexOf('/./');
  if (pivot < 0) return sourcePath(path);
  return `${sourcePath(path.slice(0, pivot))}/./${sourcePath(path.slice(pivot + 3))}`;
}
