import { createHash } from 'node:crypto';
import {
  createReadStream,
  lstatSync,
  readdirSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import pLimit from 'p-limit';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { digestHex } from '../oci/digest.ts';
import { BuildError } from '../util/build-error.ts';
import { removeTree } from '../util/remove-tree.ts';
import { isWhole, missingPart, wholeImage } from './check-images.ts';
import { emptyIndex, readIndex, withStoreLock } from './layout.ts';
import { removeStaleLeases } from './leases.ts';
import { isLocked, tryLockDirectory } from './lock.ts';
import { isProcessDirName, oldestLiveProcess } from './process-dir.ts';
import type { Store } from './store.ts';
import { storeError } from './store-error.ts';

export type StoreProblemCode =
  | 'LINK'
  | 'LAYOUT_INVALID'
  | 'IMAGE_INCOMPLETE'
  | 'BLOB_DAMAGED'
  | 'BLOB_NAME'
  | 'INDEX_DAMAGED'
  | 'RECORD_DANGLING'
  | 'LAYER_DAMAGED'
  | 'DOWNLOAD_DAMAGED'
  | 'LEFTOVER';

/** Something in a store that is not as it should be. */
export interface StoreProblem {
  readonly code: StoreProblemCode;
  /** Below the store's root, or what it is about. */
  readonly path: string;
  readonly message: string;
  /** What killed processes have left harms nobody, and goes with the next build. */
  readonly harmless: boolean;
  readonly repaired: boolean;
}

export interface StoreCheck {
  readonly problems: readonly StoreProblem[];
  readonly blobs: number;
  /** Read and hashed. */
  readonly bytes: number;
  readonly layers: number;
  readonly records: number;
  readonly images: number;
}

export interface CheckOptions {
  /** Drops what is broken; what needs it is made or fetched anew. Nothing that is whole is dropped. */
  readonly repair: boolean;
  readonly signal?: AbortSignal | undefined;
  /** For commands that read the store, milliseconds; only to repair. */
  readonly wait: number;
  /** Which forms in the directory of a layer do not give its bytes. */
  readonly checkLayer: (
    home: string,
    diffId: Digest,
    signal?: AbortSignal,
  ) => AsyncIterable<{ readonly form: string; readonly message: string }>;
}

type Found = Omit<StoreProblem, 'repaired' | 'harmless'> & {
  /** Undefined: nothing can be done. False: it is in use, or could not be done. */
  readonly repair?: (() => boolean | Promise<boolean>) | undefined;
};

const hex = /^[0-9a-f]{64}$/;
const folders = ['blobs', 'blobs/sha256', 'layers', 'cache-mounts', 'http', 'tmp', 'snapshots', 'leases'];

/** Reads everything in the store and compares it with what it should be. Throws STORE_FAILED, and the signal's reason. */
export async function checkStore(store: Store, options: CheckOptions): Promise<StoreCheck> {
  const checker = new Checker(store, options);
  await checker.look();
  return checker.finish();
}

class Checker {
  readonly #store: Store;
  readonly #options: CheckOptions;
  readonly #found: Found[] = [];
  readonly #bad = new Set<Digest>();
  readonly #badForms = new Set<string>();
  #blobs = 0;
  #bytes = 0;
  #layers = 0;
  #records = 0;
  #images = 0;
  #ownTempDir: string | undefined;

  constructor(store: Store, options: CheckOptions) {
    this.#store = store;
    this.#options = options;
  }

  async look(): Promise<void> {
    if (this.#options.repair) this.#ownTempDir = await this.#store.tempDir();
    for (const folder of folders) {
      const stat = this.#lstat(folder);
      if (stat === undefined || stat.isDirectory()) continue;
      this.#add('LINK', folder, stat.isSymbolicLink() ? 'is a link' : 'is no directory', () =>
        this.#unlink(folder),
      );
    }
    await this.#checkBlobs();
    this.#checkImages();
    await this.#checkLayers();
    if (this.#isIndexSound()) this.#checkRecords();
    await this.#checkDownloads();
    this.#checkLeftovers();
  }

  async finish(): Promise<StoreCheck> {
    const problems: StoreProblem[] = [];
    using alone =
      this.#options.repair && this.#found.length > 0
        ? await this.#store.useLock.alone(this.#options.wait)
        : undefined;
    for (const { repair, ...problem } of this.#found) {
      const repaired = alone !== undefined && repair !== undefined && (await repair());
      problems.push({ ...problem, harmless: problem.code === 'LEFTOVER', repaired });
    }
    return {
      problems,
      ...{ blobs: this.#blobs, bytes: this.#bytes, layers: this.#layers },
      ...{ records: this.#records, images: this.#images },
    };
  }

  async #checkBlobs(): Promise<void> {
    const limit = pLimit(2);
    await Promise.all(
      this.#list('blobs/sha256').map(([name, stat]) =>
        limit(async () => {
          const path = `blobs/sha256/${name}`;
          if (!hex.test(name) || !stat.isFile()) {
            this.#add('BLOB_NAME', path, 'is no blob', () => this.#remove(path));
            return;
          }
          this.#blobs += 1;
          const found = await this.#hash(path);
          if (found === undefined || found === name) return;
          this.#bad.add(`sha256:${name}`);
          this.#add('BLOB_DAMAGED', path, `has the digest sha256:${found}`, () => this.#unlink(path));
        }),
      ),
    );
  }

  /** undefined: it has vanished meanwhile. */
  async #hash(path: string): Promise<string | undefined> {
    const hash = createHash('sha256');
    try {
      for await (const chunk of createReadStream(this.#join(path), { highWaterMark: 1 << 20 })) {
        this.#options.signal?.throwIfAborted();
        hash.update(chunk as Buffer);
        this.#bytes += (chunk as Buffer).length;
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      this.#options.signal?.throwIfAborted();
      // A disk that cannot give the bytes back.
      if ((error as NodeJS.ErrnoException).code === 'EIO') return 'unreadable';
      throw storeError(error, `reading ${path}`);
    }
    return hash.digest('hex');
  }

  #checkImages(): void {
    let entries: readonly Descriptor[];
    try {
      entries = readIndex(this.#store.root).manifests;
    } catch (error) {
      this.#add('LAYOUT_INVALID', 'index.json', (error as Error).message, () => this.#rebuildLayout());
      return;
    }
    for (const entry of entries) {
      this.#images += 1;
      const missing = missingPart(this.#store, this.#bad, entry);
      if (missing === undefined) continue;
      const name = entry.annotations?.['org.opencontainers.image.ref.name'] ?? entry.digest;
      this.#add('IMAGE_INCOMPLETE', name, `lacks ${missing}`, async () => {
        await this.#store.images.remove(entry.digest);
        return true;
      });
    }
  }

  #isWhole(digest: Digest, size: number): boolean {
    return isWhole(this.#store, this.#bad, { digest, size });
  }

  /** Every whole image that there are blobs of, by its digest: names are lost, images are not. */
  async #rebuildLayout(): Promise<boolean> {
    const manifests = this.#list('blobs/sha256').flatMap(([name]) =>
      wholeImage(this.#store, this.#bad, `sha256:${name}`),
    );
    await withStoreLock(this.#store.root, async () => {
      const temporary = join(await this.#store.tempDir(), 'index.json');
      writeFileSync(temporary, `${JSON.stringify({ ...emptyIndex, manifests })}\n`, {
        mode: 0o644,
        flush: true,
      });
      renameSync(temporary, this.#join('index.json'));
    });
    return true;
  }

  #isIndexSound(): boolean {
    const { state } = this.#store;
    const message = state.upkeep.damage();
    if (message === undefined) return true;
    this.#add('INDEX_DAMAGED', 'state', message, () => {
      state.replace();
      return true;
    });
    return false;
  }

  async #checkLayers(): Promise<void> {
    for (const [name, stat] of this.#list('layers')) {
      const home = `layers/${name}`;
      if (!hex.test(name) || !stat.isDirectory()) {
        this.#add('LAYER_DAMAGED', home, 'is no layer', () => this.#remove(home));
        continue;
      }
      this.#layers += 1;
      const diffId: Digest = `sha256:${name}`;
      try {
        for await (const { form, message } of this.#options.checkLayer(
          this.#join(home),
          diffId,
          this.#options.signal,
        )) {
          this.#badForms.add(`${home}/${form}`);
          this.#add('LAYER_DAMAGED', `${home}/${form}`, message, () => this.#removeForm(home, form));
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
  }

  async #removeForm(home: string, form: string): Promise<boolean> {
    if (this.#isInUse(home)) return false;
    // The mark says that the tree gives the tar: it goes first.
    if (form.startsWith('fs'))
      rmSync(this.#join(`${home}/${form.replace('fs', 'canonical')}`), { force: true });
    return this.#remove(`${home}/${form}`);
  }

  /** Records whose own layer is nowhere: what a step of them would give is lost. Layers of base images may be elsewhere. */
  #checkRecords(): void {
    const { state } = this.#store;
    const known = new Map<Digest, boolean>();
    const isHere = (diffId: Digest): boolean => {
      const home = `layers/${digestHex(diffId)}`;
      const here =
        known.get(diffId) ??
        (this.#names(home).some(
          (name) =>
            (name === 'tar' || name.startsWith('canonical')) &&
            !this.#badForms.has(`${home}/${name.replace('canonical', 'fs')}`),
        ) ||
          state.layers(diffId).some(({ digest, size }) => this.#isWhole(digest, size)));
      known.set(diffId, here);
      return here;
    };
    const lost: Digest[] = [];
    for (const row of state.recordRows()) {
      this.#records += 1;
      // Only layers that a step has made have a time.
      if (row.made.some((diffId) => !isHere(diffId))) lost.push(row.key);
    }
    if (lost.length === 0) return;
    this.#add('RECORD_DANGLING', `${lost.length} records`, 'name layers that are not in the store', () => {
      state.transaction(() => {
        for (const key of lost) state.deleteCacheRecord(key);
        state.removeUnusedComponents();
      });
      return true;
    });
  }

  async #checkDownloads(): Promise<void> {
    for (const [name, stat] of this.#list('http')) {
      const path = `http/${name}`;
      if (name.endsWith('.json') || !stat.isFile()) continue;
      if (!hex.test(name)) {
        if (!this.#isInUse(path)) this.#add('LEFTOVER', path, 'part of a download', () => this.#unlink(path));
        continue;
      }
      const found = await this.#hash(path);
      if (found !== undefined && found !== name)
        this.#add('DOWNLOAD_DAMAGED', path, `has the digest sha256:${found}`, () => this.#unlink(path));
    }
  }

  #checkLeftovers(): void {
    for (const folder of ['tmp', 'snapshots']) {
      for (const [name] of this.#list(folder)) {
        const path = `${folder}/${name}`;
        const known = folder === 'tmp' ? isProcessDirName(name) : /^[0-9a-f]{16}$/.test(name);
        if (this.#join(path) === this.#ownTempDir || (known && isLocked(this.#join(path)))) continue;
        this.#add('LEFTOVER', path, 'left by a process that was killed', async () => {
          using lock = known ? tryLockDirectory(this.#join(path)) : undefined;
          return known && lock === undefined ? false : await this.#remove(path);
        });
      }
    }
    const leases = this.#list('leases').filter(([name]) => !isLocked(this.#join(`leases/${name}`)));
    if (leases.length > 0)
      this.#add('LEFTOVER', 'leases', `${leases.length} of processes that were killed`, () => {
        removeStaleLeases(this.#store.root, Infinity);
        return true;
      });
  }

  #add(code: StoreProblemCode, path: string, message: string, repair?: Found['repair']): void {
    this.#found.push({ code, path, message, repair });
  }

  #isInUse(path: string): boolean {
    const live = oldestLiveProcess(this.#store.root, this.#ownTempDir);
    return live !== undefined && (this.#lstat(path)?.mtimeMs ?? 0) >= live;
  }

  #unlink(path: string): boolean {
    try {
      unlinkSync(this.#join(path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return false;
    }
    return true;
  }

  async #remove(path: string): Promise<boolean> {
    try {
      await removeTree(this.#join(path));
      return true;
    } catch {
      return false;
    }
  }

  #join(path: string): string {
    return join(this.#store.root, path);
  }

  #lstat(path: string): Stats | undefined {
    return lstatSync(this.#join(path), { throwIfNoEntry: false });
  }

  #names(folder: string): readonly string[] {
    try {
      return this.#lstat(folder)?.isDirectory() === true ? readdirSync(this.#join(folder)) : [];
    } catch (error) {
      throw new BuildError('STORE_FAILED', `${folder} of the store cannot be read`, { cause: error });
    }
  }

  #list(folder: string): readonly [string, Stats][] {
    return this.#names(folder).flatMap((name): [string, Stats][] => {
      const stat = this.#lstat(`${folder}/${name}`);
      return stat === undefined ? [] : [[name, stat]];
    });
  }
}
