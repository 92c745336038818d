import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { applyEntries } from '../../image/apply.ts';
import type { StoredLayer } from '../../image/layer-store.ts';
import { readTar } from '../../image/tar.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Snapshot } from '../snapshot.ts';
import { makeSnapshot } from '../snapshot.ts';

/** A plain directory with the files of some layers, of one step alone. */
export interface RootFilesystem {
  /** The step's directory in the store; the files are in `rootfs` below it. */
  readonly directory: string;
  readonly path: string;
  /** A step has made `diffId` of it: it serves the next step that builds on that. */
  keep(diffId: Digest): Promise<void>;
  discard(): Promise<void>;
}

/** So many are kept for later steps: each is a whole copy. */
const KEPT = 3;

/**
 * Root filesystems for hosts where nothing can be stacked: layers are unpacked over each other. What a step leaves is taken up by the next one
 * on top of it, so a stage is unpacked once.
 */
export class RootFilesystems implements AsyncDisposable {
  readonly #root: string;
  /** The latest last. */
  readonly #kept: { readonly snapshot: Snapshot; readonly layers: readonly Digest[] }[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  /** Base to top. Throws IMAGE_INVALID, DISK_FULL, and what reading a layer throws. */
  async take(layers: readonly StoredLayer[], signal: AbortSignal): Promise<RootFilesystem> {
    const wanted = layers.map(({ knownDiffId }) => knownDiffId);
    const known = this.#take(wanted);
    const snapshot = known?.snapshot ?? makeSnapshot(this.#root);
    const { directory } = snapshot;
    const path = join(directory, 'rootfs');
    try {
      if (known === undefined) {
        mkdirSync(path);
        chmodSync(path, 0o755);
      }
      for (const layer of layers.slice(known?.layers.length ?? 0)) {
        const entries = readTar(layer.uncompressed({ signal }), { whiteouts: true });
        await applyEntries(entries, path, { form: 'plain', owners: 'keep', signal });
      }
    } catch (error) {
      await snapshot.discard();
      throw error;
    }
    return {
      directory,
      path,
      keep: (diffId) => this.#keep(snapshot, [...wanted, diffId]),
      discard: () => snapshot.discard(),
    };
  }

  /** The one that is nearest. */
  #take(wanted: readonly Digest[]): { snapshot: Snapshot; layers: readonly Digest[] } | undefined {
    const fits = this.#kept.filter(({ layers }) => layers.every((digest, at) => digest === wanted[at]));
    const best = fits.toSorted((a, b) => b.layers.length - a.layers.length)[0];
    if (best !== undefined) this.#kept.splice(this.#kept.indexOf(best), 1);
    return best;
  }

  async #keep(snapshot: Snapshot, layers: readonly Digest[]): Promise<void> {
    this.#kept.push({ snapshot, layers });
    if (this.#kept.length > KEPT) await this.#kept.shift()?.snapshot.discard();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { snapshot } of this.#kept.splice(0)) await snapshot.discard();
  }
}
