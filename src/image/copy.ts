import type { Digest } from '../oci/digest.ts';
import { digestOf } from '../oci/digest.ts';
import { BuildError } from '../util/build-error.ts';
import { streamOf } from '../util/streams.ts';
import { openArchive } from './archive-detect.ts';
import type { Inode } from './copy-destination.ts';
import { Destination } from './copy-destination.ts';
import type { ModeChange } from './copy-mode.ts';
import { parseModeChange } from './copy-mode.ts';
import type { Match, SelectedEntry } from './copy-select.ts';
import { matchSources, keptParents, lstatFile, selectEntries } from './copy-select.ts';
import type { CopyInputSource, CopySourceSpec, CopySpec } from './copy-spec.ts';
import { cleanPath } from './copy-spec.ts';
import type { Entry, EntryStream } from './entry.ts';
import { joinPath } from './entry-path.ts';
import type { Tree } from './tree.ts';
import { lookupOwner, readUserFile } from './users.ts';

export interface CopyRequest {
  readonly op: CopySpec;
  /** Those of `op`, with their trees. `keepOwners`: files keep the owners that the tree says, else they are root's (L-COPY-11). */
  readonly sources: readonly {
    readonly source: CopySourceSpec;
    readonly tree?: Tree | undefined;
    readonly keepOwners: boolean;
  }[];
  /** The filesystem that is copied to; undefined: it is empty, or must not be looked at (--link). */
  readonly base: Tree | undefined;
  /** mtime of directories that are made and of heredocs, nanoseconds. */
  readonly now: bigint;
}

/**
 * The layer of a COPY or ADD (L-COPY-4 to 18, L-ADD-1): pure, from trees to entries. Parents come first, each path once; directories of
 * `base` on the way come with the metadata that they have, mtime too. No entry when nothing was selected. A file from an archive
 * can be opened once, before the next entry is asked for.
 * Errors: COPY_SOURCE_MISSING, COPY_INVALID, USER_UNKNOWN, and those of the trees.
 */
export async function* copyEntries(request: CopyRequest): AsyncGenerator<Entry> {
  const { op, base, now } = request;
  const owner = op.chown === undefined ? undefined : await ownerOf(op.chown, op, base);
  const chmod = op.chmod === undefined ? undefined : parseModeChange(op.chmod);
  // A list of changes is for what is copied, and setuid, setgid and sticky are too: not for directories that nobody names.
  const mode = /^[0-7]+$/.test(op.chmod ?? '') ? Number.parseInt(op.chmod ?? '', 8) & 0o777 : 0o755;
  const destination = new Destination(base, { mode, uid: 0, gid: 0, ...owner, mtime: now });
  const copy = new Copy(request, { destination, owner, chmod });
  for (const { source, tree, keepOwners } of request.sources) {
    if (source.kind === 'inline') await copy.inline(source);
    else if (tree === undefined) throw new TypeError(`the source ${source.input} has no tree`);
    else await copy.input(source, tree, keepOwners);
  }
  yield* destination.entries((archive) => copy.archive(archive));
}

interface CopyState {
  readonly destination: Destination;
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  readonly chmod: ModeChange | undefined;
}

/** One COPY under way. */
class Copy {
  readonly #request: CopyRequest;
  readonly #state: CopyState;
  readonly #archives: (() => EntryStream)[] = [];
  /** Files that were named themselves, so far. */
  #files = 0;
  /** The destination as written, cleaned; and whether its trailing slash says that it is a directory. */
  readonly #dest: string;
  readonly #isDirectory: boolean;

  constructor(request: CopyRequest, state: CopyState) {
    this.#request = request;
    this.#state = state;
    this.#dest = cleanPath(request.op.dest);
    this.#isDirectory = /(?:^|\/)\.{0,2}$/.test(request.op.dest);
  }

  archive(index: number): EntryStream {
    const open = this.#archives[index];
    if (open === undefined) throw new TypeError(`no archive ${index}`);
    return open();
  }

  async inline(source: Extract<CopySourceSpec, { readonly kind: 'inline' }>): Promise<void> {
    const bytes = Buffer.from(source.content);
    const entry: Entry = {
      path: source.name,
      type: 'file',
      mode: source.mode,
      uid: 0,
      gid: 0,
      size: bytes.length,
      mtime: this.#request.now,
      content: () => streamOf(bytes),
    };
    await this.#putFile(source.name, { entry: this.#changed(entry, false) });
  }

  async input(source: CopyInputSource, tree: Tree, keepOwners: boolean): Promise<void> {
    const { op } = this.#request;
    let current: Match | undefined;
    let root = '';
    let links = new Map<string, Inode>();
    for await (const item of selectEntries(op, source, tree)) {
      const { match } = item;
      if (match !== current) {
        current = match;
        links = new Map();
        if (match.entry.type !== 'directory' && !op.parents) {
          await this.#matchedFile(source, match, keepOwners);
          continue;
        }
        root = await this.#startDirectory(tree, match, keepOwners);
      }
      const inode = await this.#inodeOf(item, { tree, links, keepOwners });
      // The directory itself is the destination: only what is in it is copied, unless --parents keeps its name (L-COPY-5).
      if (item.rel !== '' || op.parents) {
        await this.#state.destination.put(joinPath(root, item.rel).replace(/\/$/, ''), inode);
      }
    }
  }

  /** A file that is named itself; an archive is unpacked where the source says so. */
  async #matchedFile(source: CopyInputSource, { entry, name }: Match, keepOwners: boolean): Promise<void> {
    if (source.extract && entry.type === 'file' && entry.content !== undefined) {
      const open = await openArchive(entry.content);
      if (open !== undefined) return this.#extract(open);
    }
    await this.#putFile(name, { entry: this.#changed(entry, keepOwners) });
  }

  /** Several files need a directory (L-COPY-5). */
  async #putFile(name: string, inode: Inode): Promise<void> {
    const { destination } = this.#state;
    const resolved = await destination.resolve(this.#dest);
    const found = await destination.lstat(resolved);
    this.#files += 1;
    if (this.#files > 1 && !this.#isDirectory && found?.type !== 'directory') throw this.#severalToOne();
    if (this.#isDirectory) await destination.makeDirectories(resolved);
    const inside = this.#isDirectory || found?.type === 'directory';
    await destination.put(inside ? joinPath(resolved, name) : resolved, inode);
  }

  #severalToOne(): BuildError {
    return new BuildError(
      'COPY_INVALID',
      `several files cannot be copied to the one file \`/${this.#dest}\``,
      { hint: `end the destination with a slash: \`${this.#request.op.dest}/\`` },
    );
  }

  /** Makes what a directory's content is copied into; returns its path. */
  async #startDirectory(tree: Tree, match: Match, keepOwners: boolean): Promise<string> {
    const { destination } = this.#state;
    const resolved = await destination.resolve(this.#dest);
    // A source before this one may have become a file of that name.
    const isFile = this.#files > 0 && (await destination.lstat(resolved))?.type === 'file';
    if (isFile && !this.#isDirectory) throw this.#severalToOne();
    await destination.makeDirectories(resolved);
    if (!this.#request.op.parents) {
      // Of the source itself the destination gets the time alone, also where it was there before, as with BuildKit.
      destination.change(resolved, { mtime: match.entry.mtime });
      return resolved;
    }
    for (const { below, entry } of await keptParents(tree, match)) {
      const path = joinPath(resolved, below);
      const inode = { entry: this.#changed(entry, keepOwners) };
      if ((await destination.lstat(path)) === undefined) await destination.put(path, inode);
      else {
        // A directory that was there keeps its owner and time, as with BuildKit.
        await destination.makeDirectories(path);
        destination.change(path, { mode: inode.entry.mode });
      }
    }
    return joinPath(resolved, match.below).replace(/\/$/, '');
  }

  async #inodeOf(
    { entry }: SelectedEntry,
    { tree, links, keepOwners }: { tree: Tree; links: Map<string, Inode>; keepOwners: boolean },
  ): Promise<Inode> {
    if (entry.type !== 'hardlink') {
      const inode = { entry: this.#changed(entry, keepOwners) };
      if (entry.type !== 'directory') links.set(entry.path, inode);
      return inode;
    }
    const target = entry.linkTarget ?? '';
    const shared = links.get(target);
    if (shared !== undefined) return shared;
    // The first name was excluded: this one takes its place.
    const whole = await lstatFile(tree, entry.path);
    if (whole === undefined) throw new TypeError(`the hard link ${entry.path} leads nowhere`);
    const inode = { entry: this.#changed(whole, keepOwners) };
    links.set(target, inode);
    return inode;
  }

  /** Unpacks as `tar -x` does: its own owners unless --chown says otherwise; --chmod is not for what is in it, as with Docker. */
  async #extract(open: () => EntryStream): Promise<void> {
    const { destination, owner } = this.#state;
    const archive = this.#archives.push(open) - 1;
    const resolved = await destination.resolve(this.#dest);
    await destination.makeDirectories(resolved, {
      mode: 0o755,
      uid: 0,
      gid: 0,
      ...owner,
      mtime: this.#request.now,
    });
    let index = -1;
    const links = new Map<string, Inode>();
    for await (const raw of open()) {
      index += 1;
      if (raw.path === '') continue;
      if (raw.type === 'hardlink') {
        await destination.extract(resolved, raw.path, await this.#archiveLink(links, resolved, raw));
        continue;
      }
      const { content: _, ...entry } = { ...raw, ...owner };
      const inode: Inode = { entry, ...(raw.type === 'directory' ? {} : { streamed: { archive, index } }) };
      links.set(raw.path, inode);
      await destination.extract(resolved, raw.path, inode);
    }
  }

  async #archiveLink(links: Map<string, Inode>, resolved: string, raw: Entry): Promise<Inode> {
    const target = raw.linkTarget ?? '';
    const shared = links.get(target);
    if (shared !== undefined && shared.entry.type !== 'directory') return shared;
    const { destination } = this.#state;
    const found = await destination.share(await destination.resolveBelow(resolved, target));
    if (found === undefined || found.entry.type === 'directory') {
      throw new BuildError(
        'COPY_INVALID',
        `the archive has a hard link \`${raw.path}\` to \`${target}\`, which is no file`,
      );
    }
    return found;
  }

  /** The entry with the owner and mode that it gets (L-COPY-11 to 13). */
  #changed(entry: Entry, keepOwners: boolean): Entry {
    const { owner, chmod } = this.#state;
    const given = owner ?? (keepOwners ? {} : { uid: 0, gid: 0 });
    const mode =
      chmod === undefined || entry.type === 'symlink'
        ? entry.mode
        : chmod(entry.mode, entry.type === 'directory');
    return { ...entry, ...given, mode };
  }
}

async function ownerOf(
  chown: string,
  op: CopySpec,
  base: Tree | undefined,
): Promise<{ uid: number; gid: number }> {
  try {
    return await lookupOwner(chown, async (path) =>
      base === undefined ? undefined : readUserFile(base, path),
    );
  } catch (error) {
    if (!(error instanceof BuildError) || error.code !== 'USER_UNKNOWN' || !op.link || base !== undefined)
      throw error;
    throw new BuildError(
      'USER_UNKNOWN',
      `\`--chown=${chown}\` cannot be looked up: --link does not see the image`,
      {
        hint: 'give the owner as numbers, or leave --link away',
        cause: error,
      },
    );
  }
}

/** One line of what a source selects. */
export interface SelectedFile {
  /** What of its name decides where it goes: its path below a copied directory, or its own name. */
  readonly name: string;
  /** `directory`, or what the tree says of it; a hard link inside the selection names its first path; a directory that --parents keeps is `above`. */
  readonly digest: string;
  /** Where it is in the tree: for people, and in no key. */
  readonly path: string;
}

/** What one source reads, in order (K-7): nothing in it depends on where the source is or when its files were changed. */
export async function copySelection(
  op: CopySpec,
  source: CopyInputSource,
  tree: Tree,
): Promise<readonly SelectedFile[]> {
  const known = await knownSelection(op, source, tree);
  if (known !== undefined) return known;
  const selected: SelectedFile[] = [];
  let current: Match | undefined;
  let names = new Map<string, string>();
  for await (const { match, rel, entry } of selectEntries(op, source, tree)) {
    if (match !== current) {
      current = match;
      names = new Map();
      if (op.parents) {
        for (const kept of await keptParents(tree, match)) {
          const path = await tree.resolve(joinPath(match.pivot, kept.below));
          selected.push({ name: kept.below, digest: `above ${await tree.contentDigest(path)}`, path });
        }
      }
    }
    const isDirectory = match.entry.type === 'directory';
    const name = op.parents ? joinPath(match.below, rel) : isDirectory ? `/${rel}` : match.name;
    if (rel === '' && isDirectory && !op.parents) {
      selected.push({ name, digest: 'directory', path: entry.path });
      continue;
    }
    const first = entry.type === 'hardlink' ? names.get(entry.linkTarget ?? '') : undefined;
    if (first === undefined)
      names.set(entry.type === 'hardlink' ? (entry.linkTarget ?? '') : entry.path, name);
    selected.push({
      name,
      digest: first === undefined ? await tree.contentDigest(entry.path) : `link ${first}`,
      path: entry.path,
    });
  }
  return selected;
}

/** The same for whole directories of a tree that knows their digests: the usual COPY of a context that has not changed. */
async function knownSelection(
  op: CopySpec,
  source: CopyInputSource,
  tree: Tree,
): Promise<readonly SelectedFile[] | undefined> {
  if (tree.knownDigests === undefined || op.parents || op.exclude.length > 0) return undefined;
  const selected: SelectedFile[] = [];
  for (const match of await matchSources(op, source, tree)) {
    if (match.entry.type !== 'directory') return undefined;
    const digests = tree.knownDigests(match.path);
    if (digests === undefined) return undefined;
    const start = match.path === '' ? 0 : match.path.length + 1;
    selected.push({ name: '/', digest: 'directory', path: match.path });
    for (const [path, digest] of digests) selected.push({ name: `/${path.slice(start)}`, digest, path });
  }
  return selected;
}

/** The same in one line each where whole directories are read of a tree that has digests of them: the usual COPY of a context. */
async function wholeDirectories(
  op: CopySpec,
  source: CopyInputSource,
  tree: Tree,
): Promise<readonly Pick<SelectedFile, 'name' | 'digest'>[] | undefined> {
  if (tree.contentBelow === undefined || op.parents || op.exclude.length > 0) return undefined;
  const matches = await matchSources(op, source, tree);
  if (matches.some(({ entry }) => entry.type !== 'directory')) return undefined;
  const selected: { readonly name: string; readonly digest: string }[] = [];
  for (const { path } of matches) {
    const digest = await tree.contentBelow(path);
    if (digest === undefined) return undefined;
    selected.push({ name: '/', digest: `below ${digest}` });
  }
  return selected;
}

/**
 * Content key of what a COPY or ADD reads of the input `index` (K-7): names as far as they decide the result, and contents, source by
 * source; never an mtime, a host path or the order of a directory. Throws COPY_SOURCE_MISSING.
 */
export async function copyContentKey(op: CopySpec, index: number, tree: Tree): Promise<Digest> {
  const parts: (readonly (readonly [string, string])[])[] = [];
  for (const source of op.sources) {
    if (source.kind !== 'input' || source.input !== index) continue;
    const selected = (await wholeDirectories(op, source, tree)) ?? (await copySelection(op, source, tree));
    parts.push(selected.map(({ name, digest }) => [name, digest] as const));
  }
  // Arrays of texts alone: their JSON is canonical as it is, and this is done for every file of every cached build.
  return digestOf(JSON.stringify(parts));
}

export type { CopyInputSource, CopySourceSpec, CopySpec } from './copy-spec.ts';
