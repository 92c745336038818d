import { BuildError } from '../util/build-error.ts';
import { ancestors, comparePaths, lstatFile } from './copy-select.ts';
import type { Entry, EntryStream } from './entry.ts';
import { checkPathLength, joinPath, parentPath } from './entry-path.ts';
import { resolveInRoot } from './root-path.ts';
import type { Tree } from './tree.ts';

/** A file that is to be written, under one or several names. Its `path` says nothing; hard links share it. */
export interface Inode {
  readonly entry: Entry;
  /** Content that streams: of which archive, and the how-manieth of its entries. */
  readonly streamed?: { readonly archive: number; readonly index: number } | undefined;
}

/** How directories are made that nobody names. */
export interface NewDirectory {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds. */
  readonly mtime: bigint;
}

/** A directory that an archive has only in the names of its files. */
const implied = { mode: 0o755, uid: 0, gid: 0 };

/**
 * The layer that a COPY makes, collected by path so that each comes once, and seen on top of `base`: what is asked about is what
 * a step would find after what was put so far.
 */
export class Destination {
  readonly #base: Tree | undefined;
  readonly #newDirectory: NewDirectory;
  readonly #inodes = new Map<string, Inode>();
  /** Directories of the base that something else has replaced: what the base has below is gone. */
  readonly #replaced = new Set<string>();

  constructor(base: Tree | undefined, newDirectory: NewDirectory) {
    this.#base = base;
    this.#newDirectory = newDirectory;
  }

  /** What is at a path, links not followed. The root is always a directory. */
  async lstat(path: string): Promise<Entry | undefined> {
    const put = this.#inodes.get(path);
    if (put !== undefined) return { ...put.entry, path };
    if (path === '') return { path, type: 'directory', size: 0, ...this.#newDirectory };
    if (this.#base === undefined) return undefined;
    if (this.#replaced.size > 0 && [...ancestors(path), path].some((above) => this.#replaced.has(above)))
      return undefined;
    return this.#base.lstat(path);
  }

  /** Follows links inside the destination (L-COPY-6). */
  resolve(path: string): Promise<string> {
    return resolveInRoot(this, path);
  }

  /** Where a name of an archive is that is unpacked in `root`: links on the way end there, as if it were the root of all. */
  async resolveBelow(root: string, name: string): Promise<string> {
    const below = (path: string): string => (path === '' ? root : joinPath(root, path));
    return below(await resolveInRoot({ lstat: (path) => this.lstat(below(path)) }, name, 'keep'));
  }

  /** Makes sure that a directory and those above are there: missing ones are made, existing ones come into the layer as they are. */
  async makeDirectories(path: string, fresh: NewDirectory = this.#newDirectory): Promise<void> {
    checkPathLength(path);
    for (const part of path === '' ? [] : [...ancestors(path).slice(1), path]) {
      if (this.#inodes.get(part)?.entry.type === 'directory') continue;
      const found = await this.lstat(part);
      if (found !== undefined && found.type !== 'directory') throw notDirectory(part, found);
      this.#inodes.set(part, {
        entry: found ?? { path: part, type: 'directory', size: 0, ...fresh },
      });
    }
  }

  /** Gives a directory that `makeDirectories` was told of another mtime or mode. The root keeps its own. */
  change(path: string, changes: { readonly mtime?: bigint; readonly mode?: number }): void {
    const inode = this.#inodes.get(path);
    if (inode !== undefined) this.#inodes.set(path, { ...inode, entry: { ...inode.entry, ...changes } });
  }

  /** COPY's rules (L-COPY-7): directories merge, files and links replace files and links, all else is COPY_INVALID. */
  async put(path: string, inode: Inode): Promise<void> {
    const { type } = inode.entry;
    if (path === '' && type === 'directory') return;
    checkPathLength(path);
    const found = await this.lstat(path);
    if (type === 'directory' && found !== undefined && found.type !== 'directory')
      throw notDirectory(path, found);
    if (type !== 'directory' && found?.type === 'directory') {
      throw new BuildError('COPY_INVALID', `cannot replace the directory \`/${path}\` with a file`, {
        hint: 'name another destination, or remove the directory in a step before',
        details: { path: `/${path}` },
      });
    }
    await this.makeDirectories(parentPath(path));
    this.#inodes.set(path, inode);
  }

  /**
   * The rules of `tar -x` (L-ADD-1) in the directory `root`: links on the way are followed and do not lead out of it, whatever has the
   * name is replaced; directories merge.
   */
  async extract(root: string, name: string, inode: Inode): Promise<void> {
    const path = await this.resolveBelow(root, name);
    checkPathLength(path);
    await this.makeDirectories(parentPath(path), { ...this.#newDirectory, ...implied });
    const found = await this.lstat(path);
    const isDirectory = inode.entry.type === 'directory';
    if (found?.type === 'directory' && !isDirectory) {
      for (const below of this.#inodes.keys()) if (below.startsWith(`${path}/`)) this.#inodes.delete(below);
      this.#replaced.add(path);
    }
    this.#inodes.set(path, inode);
  }

  /** The file at a path, to be given another name: one of the base comes into the layer, for the names must be in one. */
  async share(path: string): Promise<Inode | undefined> {
    const put = this.#inodes.get(path);
    if (put !== undefined) return put;
    const found = await this.lstat(path);
    if (found === undefined || found.type === 'directory') return undefined;
    const whole = this.#base === undefined ? undefined : await lstatFile(this.#base, path);
    if (whole === undefined) return undefined;
    await this.put(path, { entry: whole });
    return this.#inodes.get(path);
  }

  /** The layer: parents first, each path once, sorted; files from archives come after all others, in the order of their archives. */
  async *entries(open: (archive: number) => EntryStream): AsyncGenerator<Entry> {
    const first = new Map<Inode, string>();
    const streamed = new Map<number, Map<number, string[]>>();
    for (const path of [...this.#inodes.keys()].toSorted(comparePaths)) {
      const inode = this.#inodes.get(path) as Inode;
      if (inode.streamed !== undefined && inode.entry.type !== 'directory') {
        const { archive, index } = inode.streamed;
        const wanted = streamed.get(archive) ?? new Map<number, string[]>();
        wanted.set(index, [...(wanted.get(index) ?? []), path]);
        streamed.set(archive, wanted);
        continue;
      }
      const target = first.get(inode);
      if (target === undefined) first.set(inode, path);
      yield target === undefined ? { ...inode.entry, path } : hardLink(inode.entry, path, target);
    }
    for (const [archive, wanted] of streamed) yield* this.#fromArchive(open(archive), wanted);
  }

  async *#fromArchive(
    stream: EntryStream,
    wanted: ReadonlyMap<number, readonly string[]>,
  ): AsyncGenerator<Entry> {
    let index = 0;
    for await (const raw of stream) {
      const [path, ...links] = wanted.get(index) ?? [];
      index += 1;
      const inode = path === undefined ? undefined : this.#inodes.get(path);
      if (path === undefined || inode === undefined) continue;
      yield { ...inode.entry, path, ...(raw.content === undefined ? {} : { content: raw.content }) };
      for (const link of links) yield hardLink(inode.entry, link, path);
    }
  }
}

function hardLink(entry: Entry, path: string, linkTarget: string): Entry {
  const { content: _, ...rest } = entry;
  return { ...rest, path, type: 'hardlink', size: 0, linkTarget };
}

function notDirectory(path: string, found: Entry): BuildError {
  const link = found.type === 'symlink';
  return new BuildError(
    'COPY_INVALID',
    `cannot copy to \`/${path}\`: it is no directory but a ${found.type}`,
    {
      hint: link
        ? `it links to \`${found.linkTarget ?? ''}\`: copy to that path`
        : 'name another destination, or remove the file in a step before',
      details: { path: `/${path}`, type: found.type },
    },
  );
}
