import type { Entry, EntryType } from '../image/entry.ts';
import { compareBytes, joinPath, normalizeEntryPath, parentPath } from '../image/entry-path.ts';
import { resolveInRootSync } from '../image/root-path.ts';
import type { Tree } from '../image/tree.ts';
import { digestOf, digestOfJson } from '../oci/digest.ts';
import { streamOf } from '../util/streams.ts';
import { xattrList } from '../image/xattr.ts';

/** One file in memory; what is left out is an ordinary file of root from 1970. */
export interface LiteralFile {
  readonly type?: EntryType | undefined;
  readonly content?: string | Uint8Array | undefined;
  readonly mode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Nanoseconds. */
  readonly mtime?: bigint | undefined;
  readonly linkTarget?: string | undefined;
  readonly xattrs?: Readonly<Record<string, Uint8Array>> | undefined;
}

/**
 * A tree of files in memory, by path; a text stands for a file with this content. Directories on the way are made (0755).
 * For a Dockerfile from stdin, whose context is empty, and for small things.
 */
export function literalTree(files: Readonly<Record<string, LiteralFile | string>>): Tree {
  const entries = new Map<string, Entry>();
  const digests = new Map<string, string>();
  const children = new Map<string, string[]>();

  const put = (path: string, file: LiteralFile): void => {
    const parent = parentPath(path);
    if (path !== '' && !entries.has(parent)) put(parent, { type: 'directory' });
    if (path !== '' && !entries.has(path)) {
      const names = children.get(parent) ?? [];
      names.push(path.slice(parent === '' ? 0 : parent.length + 1));
      children.set(parent, names);
    }
    const type = file.type ?? 'file';
    const bytes = Buffer.from(file.content ?? '');
    const entry: Entry = {
      path,
      type,
      mode: file.mode ?? (type === 'directory' ? 0o755 : type === 'symlink' ? 0o777 : 0o644),
      uid: file.uid ?? 0,
      gid: file.gid ?? 0,
      size: type === 'file' ? bytes.length : 0,
      mtime: file.mtime ?? 0n,
      ...(file.linkTarget === undefined ? {} : { linkTarget: file.linkTarget }),
      ...(file.xattrs === undefined ? {} : { xattrs: file.xattrs }),
      ...(type === 'file' ? { content: () => streamOf(bytes) } : {}),
    };
    entries.set(path, entry);
    const { mode, uid, gid, linkTarget = '' } = entry;
    digests.set(
      path,
      digestOfJson([type, mode, uid, gid, linkTarget, xattrList(entry.xattrs), digestOf(bytes)]),
    );
  };

  put('', { type: 'directory' });
  for (const [path, file] of Object.entries(files)) {
    put(normalizeEntryPath(path), typeof file === 'string' ? { content: file } : file);
  }
  for (const names of children.values()) names.sort(compareBytes);

  async function* walk(path: string): AsyncGenerator<Entry> {
    const entry = entries.get(path);
    if (entry === undefined) return;
    yield entry;
    for (const name of children.get(path) ?? []) yield* walk(joinPath(path, name));
  }

  return {
    lstat: async (path) => entries.get(path),
    list: async (path) => children.get(path) ?? [],
    resolve: async (path, last) => resolveInRootSync({ lstat: (part) => entries.get(part) }, path, last),
    walk,
    contentDigest: async (path) => {
      const digest = digests.get(path);
      if (digest === undefined) throw new RangeError(`no file ${path}`);
      return digest;
    },
  };
}
