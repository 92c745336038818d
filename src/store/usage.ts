import { lstatSync, readFileSync, readdirSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../oci/digest.ts';
import { readIndex } from './layout.ts';
import { isLocked } from './lock.ts';
import { isProcessDirName, oldestLiveProcess } from './process-dir.ts';
import type { RecordRow, State } from './state-record.ts';
import { storeError } from './store-error.ts';
import { mark } from './sweep.ts';
import type { SeenLinks } from './tree-usage.ts';
import { treeUsage } from './tree-usage.ts';

// What takes the disk in a store (KM-1): every file of it belongs to exactly one record, so that the sum is what `du` of the directory says.

/** BuildKit's types. `source.local`: what is known of the files of contexts. Git checkouts and frontends keep nothing here. */
export type UsageType =
  | 'regular'
  | 'source.local'
  | 'source.git.checkout'
  | 'exec.cachemount'
  | 'frontend'
  | 'internal';

/** Something that takes the disk. Times are milliseconds since the epoch. */
export interface UsageRecord {
  readonly id: string;
  readonly type: UsageType;
  readonly description: string;
  /** The ids of the records below it: of a layer, the layer that it was made on. */
  readonly parents: readonly string[];
  /** Blocks on the disk. */
  readonly bytes: number;
  readonly createdAt: number;
  /** To within an hour. */
  readonly lastUsedAt: number;
  /** Builds that it served, as far as that is counted. */
  readonly uses: number;
  /** A running build may use it. */
  readonly inUse: boolean;
  /** An image of the store is made of it, or of what it was unpacked from. */
  readonly shared: boolean;
  /** Steps change it: a cache mount. */
  readonly mutable: boolean;
  /** Whether `prune` can remove it now. */
  readonly reclaimable: boolean;
}

/** A record and what it is made of. */
export interface Item extends UsageRecord {
  /** Below the store's root; files and whole directories. */
  readonly paths: readonly string[];
  /** What cache records name, which go with it: a layer by its diffId, the manifest of a base image. */
  readonly named?: Digest | undefined;
}

export interface Survey {
  readonly items: readonly Item[];
  readonly bytes: number;
}

/** Folders of the store that are looked into one by one. */
const folders: readonly string[] = [
  'blobs/sha256',
  'layers',
  'cache-mounts',
  'http',
  'tmp',
  'snapshots',
  'leases',
];
const hex = /^[0-9a-f]{64}$/;

interface LayerFacts {
  name?: string;
  named: number;
  created: number;
  used: number;
  uses: number;
  below?: Digest | undefined;
}

/** Throws STORE_FAILED for what cannot be read at all, and the signal's reason. */
export async function surveyStore(
  root: string,
  state: State,
  {
    signal,
    ownTempDir,
  }: { readonly signal?: AbortSignal | undefined; readonly ownTempDir?: string | undefined } = {},
): Promise<Survey> {
  const survey = new Surveyor(root, state, signal);
  return survey.run(ownTempDir);
}

class Surveyor {
  readonly #root: string;
  readonly #state: State;
  readonly #signal: AbortSignal | undefined;
  readonly #items: Item[] = [];
  readonly #seen: SeenLinks = new Map();
  /** Of files that belong to no record of their own. */
  #internal = 0;
  #live = Infinity;
  #known: ReadonlyMap<string, number> = new Map();
  readonly #measured = new Map<string, number>();

  constructor(root: string, state: State, signal: AbortSignal | undefined) {
    this.#root = root;
    this.#state = state;
    this.#signal = signal;
  }

  async run(ownTempDir: string | undefined): Promise<Survey> {
    this.#known = this.#state.upkeep.treeSizes();
    this.#live = Math.floor(oldestLiveProcess(this.#root, ownTempDir) ?? Infinity);
    const { facts, bases } = this.#facts();
    const blobs = this.#join('blobs/sha256');
    const needed = new Map<string, string>();
    for (const { digest, annotations } of readIndex(this.#root).manifests) {
      const name = annotations?.['org.opencontainers.image.ref.name'] ?? digest;
      for (const found of mark(blobs, [digest])) if (!needed.has(found)) needed.set(found, name);
    }
    const ofBases = new Map<string, { readonly row: RecordRow; readonly manifest: Digest }>();
    for (const [manifest, row] of bases)
      for (const found of mark(blobs, [manifest])) ofBases.set(found, { row, manifest });
    const byBlob = new Map<string, Digest>();
    const ofImage = new Set<Digest>();
    for (const { diffId, digest } of this.#state.layerRows()) {
      byBlob.set(digest, diffId);
      if (needed.has(digest)) ofImage.add(diffId);
    }
    const paths = new Map<Digest, { bytes: number; newest: number; paths: string[] }>();
    const add = (diffId: Digest, path: string, bytes: number, newest: number): void => {
      const known = paths.get(diffId) ?? { bytes: 0, newest: 0, paths: [] };
      known.bytes += bytes;
      known.newest = Math.max(known.newest, newest);
      known.paths.push(path);
      paths.set(diffId, known);
    };
    for (const [name, stat] of this.#list('blobs/sha256')) {
      const path = `blobs/sha256/${name}`;
      const digest: Digest = `sha256:${name}`;
      const image = needed.get(digest);
      const diffId = byBlob.get(digest);
      const bytes = await this.#bytes(path, stat);
      if (image !== undefined) {
        this.#add({
          ...plain(name, stat),
          description: `part of ${image}`,
          ...{ bytes, shared: true, reclaimable: false, paths: [path] },
        });
      } else if (diffId !== undefined) add(diffId, path, bytes, stat.mtimeMs);
      else {
        const base = ofBases.get(digest);
        const about = base === undefined ? 'a blob that nothing refers to' : `about ${base.row.name}`;
        const lastUsedAt = Math.max(stat.mtimeMs, base?.row.lastUsed ?? 0);
        this.#add({
          ...plain(name, stat),
          ...{ description: about, bytes, lastUsedAt, paths: [path], named: base?.manifest },
        });
      }
    }
    for (const [name, stat] of this.#list('layers')) {
      const path = `layers/${name}`;
      if (hex.test(name) && stat.isDirectory())
        add(`sha256:${name}`, path, await this.#layerBytes(path), stat.mtimeMs);
      else
        this.#add({
          ...plain(path, stat),
          description: 'a stray file',
          bytes: await this.#bytes(path, stat),
          paths: [path],
        });
    }
    for (const [diffId, { bytes, newest, paths: all }] of paths) {
      const about = facts.get(diffId);
      this.#add({
        id: diffId.slice('sha256:'.length),
        type: 'regular',
        description: about?.name ?? 'layer of a base image',
        parents: about?.below === undefined ? [] : [about.below.slice('sha256:'.length)],
        bytes,
        createdAt: about?.created ?? newest,
        lastUsedAt: Math.max(about?.used ?? 0, newest),
        uses: about?.uses ?? 0,
        shared: ofImage.has(diffId),
        mutable: false,
        paths: all,
        named: diffId,
      });
    }
    await this.#cacheMounts();
    await this.#downloads();
    await this.#leftovers(ownTempDir);
    await this.#rest();
    if ([...this.#measured.keys()].some((path) => !this.#known.has(path)))
      this.#state.upkeep.putTreeSizes(this.#measured);
    return { items: this.#items, bytes: this.#items.reduce((sum, { bytes }) => sum + bytes, 0) };
  }

  /** What the index says of layers, and of the manifests of base images. */
  #facts(): { readonly facts: Map<Digest, LayerFacts>; readonly bases: Map<Digest, RecordRow> } {
    const facts = new Map<Digest, LayerFacts>();
    const bases = new Map<Digest, RecordRow>();
    for (const row of this.#state.recordRows()) {
      row.digests.forEach((digest, index) => {
        if (row.kind === 'base') bases.set(digest, row);
        const known = facts.get(digest) ?? { named: 0, created: row.createdAt, used: 0, uses: 0 };
        known.used = Math.max(known.used, row.lastUsed);
        known.created = Math.min(known.created, row.createdAt);
        const isTop = index === row.digests.length - 1;
        if (isTop && row.createdAt >= known.named) {
          known.named = row.createdAt;
          known.name = row.name;
          known.uses = Math.max(known.uses, row.uses);
          known.below = row.digests[index - 1];
        }
        facts.set(digest, known);
      });
    }
    return { facts, bases };
  }

  async #cacheMounts(): Promise<void> {
    for (const [name, stat] of this.#list('cache-mounts')) {
      const path = `cache-mounts/${name}`;
      const bytes = await this.#bytes(path, stat);
      const lock = lstatOf(this.#join(`${path}/lock`));
      const isHeld = lock !== undefined && isLocked(this.#join(`${path}/lock`));
      this.#add({
        ...plain(name, stat),
        type: 'exec.cachemount',
        description: `cache mount ${readLine(this.#join(`${path}/id`)) ?? name.slice(0, 12)}`,
        bytes,
        createdAt: stat.birthtimeMs,
        lastUsedAt: Math.max(stat.mtimeMs, lock?.mtimeMs ?? 0),
        mutable: true,
        // Else as others: when a running build has used it.
        ...(isHeld ? { inUse: true } : {}),
        paths: [path],
      });
    }
  }

  async #downloads(): Promise<void> {
    for (const [name, stat] of this.#list('http')) {
      const path = `http/${name}`;
      // What a server said of a body is nothing without it, and small.
      const description = name.endsWith('.json') ? 'where a download came from' : 'a download';
      this.#add({ ...plain(name, stat), description, bytes: await this.#bytes(path, stat), paths: [path] });
    }
  }

  /** Directories of processes and steps: of those that live, and what dead ones have left. */
  async #leftovers(ownTempDir: string | undefined): Promise<void> {
    for (const folder of ['tmp', 'snapshots']) {
      for (const [name, stat] of this.#list(folder)) {
        const path = `${folder}/${name}`;
        const known = folder === 'tmp' ? isProcessDirName(name) : /^[0-9a-f]{16}$/.test(name);
        const inUse = this.#join(path) === ownTempDir || (known && isLocked(this.#join(path)));
        this.#add({
          ...plain(path, stat),
          type: 'internal',
          description: inUse ? 'work of a running build' : 'left by a build that was killed',
          bytes: await this.#bytes(path, stat),
          ...{ inUse, paths: [path] },
        });
      }
    }
    for (const [name, stat] of this.#list('leases')) {
      this.#internal += await this.#bytes(`leases/${name}`, stat);
    }
  }

  /** Everything else that is directly in the store, its folders themselves among it. */
  async #rest(): Promise<void> {
    let index = 0;
    let newest = 0;
    this.#internal += blocks(lstatOf(this.#root));
    for (const folder of ['blobs', ...folders]) this.#internal += blocks(lstatOf(this.#join(folder)));
    for (const [name, stat] of this.#list('.')) {
      if (folders.some((folder) => folder.split('/')[0] === name) && stat.isDirectory()) continue;
      const bytes = await this.#bytes(name, stat);
      if (/^state-v\d+\.\d+\.db/.test(name)) index += bytes;
      else this.#internal += bytes;
      newest = Math.max(newest, stat.mtimeMs);
    }
    for (const [name, stat] of this.#list('blobs')) {
      if (name !== 'sha256') this.#internal += await this.#bytes(`blobs/${name}`, stat);
    }
    const files = this.#state.upkeep.statCount();
    // Nobody knows which of an index's pages hold what: some 200 bytes a file.
    const stats = Math.min(index, files * 200);
    const times = { createdAt: newest, lastUsedAt: newest };
    if (files > 0) {
      this.#add({
        ...{ id: 'context-files', type: 'source.local', ...times, bytes: stats, paths: [] },
        ...{ parents: [], uses: 0, shared: false, mutable: true },
        description: `digests of ${files} files of build contexts`,
      });
    }
    this.#add({
      ...{ id: 'index', type: 'internal', ...times, bytes: this.#internal + index - stats, paths: [] },
      ...{ parents: [], uses: 0, shared: false, mutable: true, reclaimable: false },
      description: 'the index of the store, its locks and folders',
    });
  }

  #add(item: Omit<Item, 'inUse' | 'reclaimable'> & Partial<Pick<Item, 'inUse' | 'reclaimable'>>): void {
    const inUse = item.inUse ?? (item.paths.length > 0 && item.lastUsedAt >= this.#live);
    this.#items.push({ ...item, inUse, reclaimable: item.reclaimable ?? !inUse });
  }

  #join(path: string): string {
    return join(this.#root, path);
  }

  /** What is in a folder, without following links: a folder that is none has nothing. */
  *#list(folder: string): Generator<[string, Stats]> {
    const path = this.#join(folder);
    if (lstatOf(path)?.isDirectory() !== true) return;
    let names: string[];
    try {
      names = readdirSync(path);
    } catch (error) {
      throw storeError(error, `reading ${path}`);
    }
    for (const name of names) {
      const stat = lstatOf(`${path}/${name}`);
      if (stat !== undefined) yield [name, stat];
    }
  }

  async #bytes(path: string, stat: Stats): Promise<number> {
    if (!stat.isDirectory() && stat.nlink === 1) return blocks(stat);
    return (await treeUsage(this.#join(path), { signal: this.#signal, seen: this.#seen })).bytes;
  }

  /** Unpacked trees never change: each is measured once. */
  async #layerBytes(path: string): Promise<number> {
    let bytes = blocks(lstatOf(this.#join(path)));
    for (const [name, stat] of this.#list(path)) {
      const part = `${path}/${name}`;
      const known = stat.isDirectory() ? this.#known.get(part) : undefined;
      if (known !== undefined || !stat.isDirectory()) {
        bytes += known ?? (await this.#bytes(part, stat));
        if (known !== undefined) this.#measured.set(part, known);
        continue;
      }
      const measured = await treeUsage(this.#join(part), { signal: this.#signal, seen: this.#seen });
      if (measured.complete) this.#measured.set(part, measured.bytes);
      bytes += measured.bytes;
    }
    return bytes;
  }
}

function plain(
  id: string,
  stat: Stats,
): Pick<Item, 'id' | 'type' | 'parents' | 'createdAt' | 'lastUsedAt' | 'uses' | 'shared' | 'mutable'> {
  const { mtimeMs } = stat;
  return {
    ...{ id, type: 'regular', parents: [], createdAt: mtimeMs, lastUsedAt: mtimeMs },
    ...{ uses: 0, shared: false, mutable: false },
  };
}

function blocks(stat: Stats | undefined): number {
  return (stat?.blocks ?? 0) * 512;
}

function lstatOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** The first line of a small file of ours. */
function readLine(path: string): string | undefined {
  try {
    const stat = lstatSync(path);
    return stat.isFile() && stat.size < 4096 ? readFileSync(path, 'utf8').split('\n')[0] : undefined;
  } catch {
    return undefined;
  }
}
