import type { ByteStream } from '../util/streams.ts';

export type EntryType =
  | 'file'
  | 'directory'
  | 'symlink'
  | 'hardlink'
  | 'char'
  | 'block'
  | 'fifo'
  | 'whiteout'
  | 'opaque';

/**
 * One filesystem object of a layer: the currency between sources (context walk, tar reader, overlay diff) and sinks
 * (tar writer, directory applier). OCI image-spec, layer.md.
 *
 * `path` is relative to the root, `/`-separated, without leading or trailing slash, empty, `.` or `..` parts; the root
 * itself is ''. Whoever makes entries from foreign data has checked that. A `whiteout` removes `path` of lower layers;
 * an `opaque` hides what lower layers have below the directory `path`. A hardlink's `linkTarget` is such a path too, and
 * stands earlier in the stream; a symlink's is the raw text. Parents come before children.
 */
export interface Entry {
  readonly path: string;
  readonly type: EntryType;
  /** Permission bits with setuid, setgid, sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content; 0 for all but files. */
  readonly size: number;
  /** Nanoseconds since the epoch. */
  readonly mtime: bigint;
  readonly linkTarget?: string;
  readonly xattrs?: Readonly<Record<string, Uint8Array>> | undefined;
  readonly devMajor?: number;
  readonly devMinor?: number;
  /** Files only: opens the content, `size` bytes. May be called again, unless the source says that it streams. */
  readonly content?: () => ByteStream;
}

/** Entries in an order where parents precede children. */
export type EntryStream = AsyncIterable<Entry>;
