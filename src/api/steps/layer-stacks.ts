import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { mappedIds } from '../../host/probe.ts';
import { applyEntries } from '../../image/apply.ts';
import type { Entry } from '../../image/entry.ts';
import type { StoredLayer } from '../../image/layer-store.ts';
import { layerTree } from '../../image/layer-tree.ts';
import { SharedTask } from '../../image/shared-task.ts';
import type { Store } from '../../store/store.ts';

/**
 * The unpacked directories of stacks of layers, as overlayfs has to see them. An archive need not name the parents of what it has; its own
 * directory then has such a parent as 0755 and root's, and overlayfs would show that of a directory that a lower layer has otherwise. So above
 * the topmost such layer there stands a directory of nothing but those parents, each as the layers below say.
 */
export class LayerStacks {
  readonly #store: Pick<Store, 'tempDir'>;
  /** Of parents, by the layers that they are of; undefined: none of them is otherwise. */
  readonly #parents = new Map<string, string | undefined>();
  readonly #tasks = new Map<string, SharedTask<void>>();

  constructor(store: Pick<Store, 'tempDir'>) {
    this.#store = store;
  }

  /** Base to top. Unpacking is what makes a base layer come down from its registry. */
  async directories(layers: readonly StoredLayer[], signal: AbortSignal): Promise<string[]> {
    const paths = await Promise.all(layers.map((layer) => layer.directory(signal)));
    const implying = await Promise.all(layers.map((layer) => layer.impliesDirectories(signal)));
    const top = implying.lastIndexOf(true);
    // Below the lowest layer there is nothing that it could hide.
    const parents = top < 1 ? undefined : await this.#parentsOf(layers.slice(0, top + 1), signal);
    return parents === undefined ? paths : paths.toSpliced(top + 1, 0, parents);
  }

  async #parentsOf(layers: readonly StoredLayer[], signal: AbortSignal): Promise<string | undefined> {
    const key = layers.map(({ knownDiffId }) => knownDiffId).join();
    if (!this.#parents.has(key)) {
      const task = this.#tasks.get(key) ?? new SharedTask<void>();
      this.#tasks.set(key, task);
      await task.join(async (inner) => {
        const entries = await layerTree(layers).covered();
        this.#parents.set(key, entries.length === 0 ? undefined : await this.#unpack(entries, inner));
      }, signal);
    }
    return this.#parents.get(key);
  }

  /** Goes with the store's other unfinished work. */
  async #unpack(entries: readonly Entry[], signal: AbortSignal): Promise<string> {
    const directory = join(await this.#store.tempDir(), `${randomUUID()}.parents`);
    mkdirSync(directory);
    chmodSync(directory, 0o755);
    const overlayXattrs = mappedIds() === undefined ? 'trusted' : 'user';
    await applyEntries(streamOf(entries), directory, { form: 'overlay', overlayXattrs, signal });
    return directory;
  }
}

async function* streamOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
