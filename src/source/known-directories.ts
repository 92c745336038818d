import type { Stats } from 'node:fs';
import { lstatSync } from 'node:fs';
import { digestOf } from '../oci/digest.ts';

/** What one look at a directory has found. As the store's stat cache has it. */
export interface DirectoryListing {
  readonly names: readonly string[];
  readonly stamps: Float64Array;
}

/** Remembers directories across builds. */
export interface DirectoryCache {
  directory(key: string, listing: DirectoryListing): string | undefined;
  setDirectory(key: string, listing: DirectoryListing, digest: string): void;
}

export interface KnownDirectoriesOptions {
  readonly cache: DirectoryCache | undefined;
  /** Goes before the path in keys: what else decides the digests. */
  readonly variant: string;
  absolute(path: string): string;
  /** All names in a directory, in the order of the system: the same for as long as this lives. */
  names(path: string): readonly string[];
  /** Names that are to be seen. */
  visible(path: string, names: readonly string[]): readonly string[];
  /** What the key has of one file or directory itself, which has this stamp; undefined: it has to be read first. */
  textOf(path: string, stamp: readonly number[]): string | undefined;
  /** Makes `textOf` know it. */
  read(path: string): Promise<unknown>;
  /** The error to throw where the system lets something not be looked at. */
  failed(path: string, error: unknown): Error;
}

/** Numbers of a stamp: size, mtime, ctime, inode, device. */
const stampLength = 5;
/** Where the inode is. */
const firstOfIdentity = 3;

/**
 * Digests of what is below directories, by comparing whole directories with what is remembered of them: a look at each file, with nothing made
 * for it, is all that an unchanged context costs. A digest covers names and texts, subdirectories included; of the directory itself it has nothing.
 */
export class KnownDirectories {
  readonly #options: KnownDirectoriesOptions;
  readonly #seen = new Map<
    string,
    DirectoryListing & { readonly modes: Uint32Array; places?: ReadonlyMap<string, number> }
  >();

  constructor(options: KnownDirectoriesOptions) {
    this.#options = options;
  }

  /** undefined: two of the names are one file, which a digest of this kind cannot tell. Rejects with what `textOf` and `read` throw. */
  async digest(path: string): Promise<string | undefined> {
    for (const links = new Set<string>(); ; links.clear()) {
      const found = this.#look(path, links);
      if (found === undefined || 'digest' in found) return found?.digest;
      for (const file of found.unread) await this.#options.read(file);
    }
  }

  /**
   * Whether a file is what it was when its directory was looked at; true for one that was not. Of a directory what cannot change by
   * something being put into it.
   */
  isSame(
    directory: string,
    name: string,
    now: { readonly mode: number; stamp(): readonly number[] },
  ): boolean {
    const listing = this.#seen.get(directory);
    if (listing === undefined) return true;
    listing.places ??= new Map(listing.names.map((each, index) => [each, index * stampLength]));
    const at = listing.places.get(name);
    // What was hidden, or has come meanwhile, has no part in what was looked at.
    if (at === undefined) return true;
    const from = (now.mode & 0o170000) === 0o040000 ? firstOfIdentity : 0;
    return (
      listing.modes[at / stampLength] === now.mode &&
      now.stamp().every((value, index) => index < from || listing.stamps[at + index] === value)
    );
  }

  #look(
    path: string,
    links: Set<string>,
  ): { readonly digest: string } | { readonly unread: readonly string[] } | undefined {
    const { cache, variant } = this.#options;
    const directory = this.#options.absolute(path);
    const names = this.#names(path);
    const stamps = new Float64Array(names.length * stampLength);
    const modes = new Uint32Array(names.length);
    const below: string[] = [];
    const prefix = directory === '/' ? '/' : `${directory}/`;
    for (let index = 0, at = 0; index < names.length; index += 1, at += stampLength) {
      const stat = this.#stat(prefix, names[index] as string, path);
      modes[index] = stat.mode;
      stamps[at] = stat.size;
      stamps[at + 1] = stat.mtimeMs;
      stamps[at + 2] = stat.ctimeMs;
      stamps[at + 3] = stat.ino;
      stamps[at + 4] = stat.dev;
      if ((stat.mode & 0o170000) === 0o040000) below.push(names[index] as string);
      else if (stat.nlink > 1) {
        const id = `${stat.dev}:${stat.ino}`;
        if (links.has(id)) return undefined;
        links.add(id);
      }
    }
    const listing = { names, stamps };
    this.#seen.set(path, { ...listing, modes });
    const inside = path === '' ? '' : `${path}/`;
    const key = variant + directory;
    let own = cache?.directory(key, listing);
    const unread: string[] = [];
    if (own === undefined) {
      const texts: string[] = [];
      for (const [name, index] of names.map((each, place) => [each, place] as const).toSorted(byName)) {
        const at = index * stampLength;
        const text = this.#options.textOf(inside + name, [...stamps.subarray(at, at + stampLength)]);
        if (text === undefined) unread.push(inside + name);
        else texts.push(name, text);
      }
      if (unread.length === 0) {
        own = digestOf(JSON.stringify(texts));
        cache?.setDirectory(key, listing, own);
      }
    }
    const parts: string[] = [];
    for (const name of below.toSorted()) {
      const found = this.#look(inside + name, links);
      if (found === undefined) return undefined;
      if ('unread' in found) unread.push(...found.unread);
      else parts.push(name, found.digest);
    }
    if (unread.length > 0 || own === undefined) return { unread };
    return { digest: parts.length === 0 ? own : digestOf(JSON.stringify([own, parts])) };
  }
  #names(path: string): readonly string[] {
    try {
      return this.#options.visible(path, this.#options.names(path));
    } catch (error) {
      throw this.#options.failed(path, error);
    }
  }

  // oxlint-disable-next-line max-params -- called for each file: nothing is made for it
  #stat(prefix: string, name: string, directory: string): Stats {
    try {
      return lstatSync(prefix + name);
    } catch (error) {
      const path = directory === '' ? name : `${directory}/${name}`;
      throw this.#options.failed(path, error);
    }
  }
}

function byName([a]: readonly [string, number], [b]: readonly [string, number]): number {
  return a < b ? -1 : 1;
}
