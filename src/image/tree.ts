import type { Entry } from './entry.ts';

/**
 * A read-only file tree that COPY, ADD and bind mounts take files from: a build context, or the stacked layers of an image.
 * Paths are those of Entry ('' is the root). Nothing follows symlinks unless it says so; no answer leaves the tree.
 */
export interface Tree {
  /** The entry itself, without following it; undefined when it is not there (or ignored). `content` may be opened repeatedly. */
  lstat(path: string): Promise<Entry | undefined>;
  /** Names in a directory, sorted by bytes. Empty for anything else. */
  list(path: string): Promise<readonly string[]>;
  /** Where `path` leads when symlinks are followed, the last part too unless `last` is 'keep'. Absolute targets are re-anchored
   * at the root, `..` is clamped there, at most 255 links (S-P-1). The parts that do not exist are kept as they are. */
  resolve(path: string, last?: 'follow' | 'keep'): Promise<string>;
  /** Depth-first, parents first, siblings sorted by bytes; `path` itself comes first. No whiteouts. A file with several links in the walked
   * part comes once as `file` and then as `hardlink`. */
  walk(path: string): AsyncIterable<Entry>;
  /** Digest over type, mode, uid, gid, size, link target, xattrs and content of one file: what a cache key needs; never mtime. */
  contentDigest(path: string): Promise<string>;
  /** What `walk` and `contentDigest` would say of all below the directory `path`, in that order, where no content has to be read for it
   * and no file has a second name: many times as fast. undefined otherwise. */
  knownDigests?(path: string): readonly (readonly [path: string, digest: string])[] | undefined;
  /**
   * Digest of all that is below the directory `path`: what `contentDigest` says, by names. undefined: two of the names are one file, which
   * it does not tell. For a tree that has one it is the fastest answer.
   */
  contentBelow?(path: string): Promise<string | undefined>;
  /** How messages call it, `the build context (/work/app)`, and what to do where it has no files at all. Default: what --from names. */
  readonly about?: { readonly name: string; readonly hint?: string };
  /** Tells why a path is not there, for messages: for a context, the ignore file and line that hides it. */
  hiddenBy?(
    path: string,
  ): Promise<{ readonly file: string; readonly line: number; readonly pattern: string } | undefined>;
}
