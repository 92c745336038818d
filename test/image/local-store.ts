import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlobRecord, LayerStore, LayerStoreOptions } from '../../src/image/layer-store.ts';
import { createLayerStore } from '../../src/image/layer-store.ts';
import type { Digest } from '../../src/oci/digest.ts';
import type { BlobStore } from '../../src/store/blob-store.ts';
import { openFsBlobStore } from '../../src/store/fs-blob-store.ts';

/** A real store in a directory of its own, with its table in memory. */
export interface LocalStore extends Disposable {
  readonly root: string;
  readonly blobs: BlobStore;
  readonly table: Map<Digest, BlobRecord>;
  readonly layers: LayerStore;
  /** As another process would open it. */
  reopen(options?: Partial<LayerStoreOptions>): LayerStore;
}

export function localStore(): LocalStore {
  const root = mkdtempSync(join(tmpdir(), 'layer-store-'));
  mkdirSync(join(root, 'blobs', 'sha256'), { recursive: true });
  mkdirSync(join(root, 'tmp'));
  const blobs = openFsBlobStore(root, async () => join(root, 'tmp'));
  const table = new Map<Digest, BlobRecord>();
  const reopen = (options: Partial<LayerStoreOptions> = {}): LayerStore =>
    createLayerStore({
      root,
      blobs,
      table: { get: (diffId) => table.get(diffId), set: (diffId, record) => void table.set(diffId, record) },
      ...options,
    });
  return {
    root,
    blobs,
    table,
    layers: reopen(),
    reopen,
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}
