import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import type { Digest } from '../oci/digest.ts';
import { digestHex } from '../oci/digest.ts';
import type { LayerIndex } from './layer-index.ts';
import { decodeImplies, decodeIndex, encodeIndex, indexHead } from './layer-index.ts';
import { SharedTask } from './shared-task.ts';

export interface FormsOptions {
  /** Of the store. */
  readonly root: string;
  readonly ids?: string | undefined;
  /** Of LayerStoreOptions. */
  readonly keep?: ((path: string) => boolean) | undefined;
}

/**
 * The uncompressed forms of one layer on disk, in `layers/<hex of the diffId>/`: `tar`; `fs`, the unpacked directory as overlayfs wants
 * it, one for each map of ids; `index.json`. Each appears by rename, so what is there is complete.
 */
export class LayerForms {
  readonly diffId: Digest;
  readonly directory: string;
  readonly tar: string;
  readonly #home: string;
  readonly #index: string;
  /** There when `fs` gives back the very bytes of the tar: made by a step here, not unpacked from another tool's tar. */
  readonly #canonical: string;
  readonly #keep: (path: string) => boolean;
  #loaded: LayerIndex | undefined;
  /** Making a form, shared by all who ask at once. */
  readonly tarTask: SharedTask<void> = new SharedTask();
  readonly directoryTask: SharedTask<void> = new SharedTask();
  readonly indexTask: SharedTask<LayerIndex> = new SharedTask();

  /** `ids`: of the user namespace that unpacks here; its files have other owners on disk than those of anybody else. */
  constructor(diffId: Digest, { root, ids, keep = () => true }: FormsOptions) {
    this.diffId = diffId;
    this.#keep = keep;
    this.#home = join(root, 'layers', digestHex(diffId));
    const suffix = ids === undefined ? '' : `-${ids}`;
    this.directory = join(this.#home, `fs${suffix}`);
    this.tar = join(this.#home, 'tar');
    this.#index = join(this.#home, 'index.json');
    this.#canonical = join(this.#home, `canonical${suffix}`);
  }

  hasTar(): boolean {
    return existsSync(this.tar) && this.#keep(this.#home);
  }

  hasDirectory(): boolean {
    return existsSync(this.directory) && this.#keep(this.#home);
  }

  /** Whether the tar can be made from the directory. */
  hasCanonicalDirectory(): boolean {
    return existsSync(this.#canonical) && this.hasDirectory();
  }

  /** The form that the tar's bytes come from gives others: it goes, so that the layer is made anew. */
  dropDamaged(): void {
    if (existsSync(this.tar)) {
      rmSync(this.tar, { force: true });
      return;
    }
    rmSync(this.#canonical, { force: true });
    // Steps of running builds may still have it below them.
    if (existsSync(this.directory)) renameSync(this.directory, `${this.directory}.damaged-${randomUUID()}`);
  }

  /** Takes over a finished tar. */
  adoptTar(file: string): void {
    mkdirSync(this.#home, { recursive: true, mode: 0o700 });
    renameSync(file, this.tar);
  }

  /** Takes over an unpacked directory. False when there is one already: then the other is left to the caller. */
  adoptDirectory(path: string, { canonical }: { readonly canonical: boolean }): boolean {
    mkdirSync(this.#home, { recursive: true, mode: 0o700 });
    if (!this.hasDirectory()) {
      try {
        renameSync(path, this.directory);
        if (canonical) writeFileSync(this.#canonical, '');
        return true;
      } catch (error) {
        // Another process was first.
        if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      }
    }
    if (canonical) writeFileSync(this.#canonical, '');
    return false;
  }

  /** The index, if it was made; kept in memory. */
  loadIndex(): LayerIndex | undefined {
    if (this.#loaded === undefined && existsSync(this.#index)) {
      this.#loaded = decodeIndex(readFileSync(this.#index, 'utf8'));
    }
    return this.#loaded;
  }

  /** `impliesDirectories` of the index, of which no more than its beginning is read; undefined: there is none. */
  impliesDirectories(): boolean | undefined {
    let fd: number;
    try {
      fd = openSync(this.#index, 'r');
    } catch {
      return undefined;
    }
    try {
      const head = Buffer.alloc(indexHead);
      return decodeImplies(head.toString('latin1', 0, readSync(fd, head, 0, indexHead, 0)));
    } finally {
      closeSync(fd);
    }
  }

  saveIndex(index: LayerIndex): void {
    // One that could not be read is replaced.
    if (this.loadIndex() !== undefined) return;
    this.#loaded = index;
    mkdirSync(this.#home, { recursive: true, mode: 0o700 });
    const temp = `${this.#index}.${randomUUID()}`;
    try {
      writeFileSync(temp, encodeIndex(index));
      renameSync(temp, this.#index);
    } finally {
      rmSync(temp, { force: true });
    }
  }
}
