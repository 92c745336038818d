import type { StoredLayer } from '../image/layer-store.ts';
import type { LayerLeak } from '../image/secret-scan.ts';
import type { Tree } from '../image/tree.ts';

/** A layer within a result, and when the step that made it ran: ISO 8601; absent for layers of base images. */
export interface ResultLayer {
  readonly layer: StoredLayer;
  readonly created?: string;
  /** Secrets that it holds since the build that made it was allowed them (M-16). */
  readonly leaks?: readonly LayerLeak[];
}

/** What a vertex yields: a stack of layers, base to top, or a tree that other steps take files from (context, URL, git). */
export type StepOutcome =
  | { readonly kind: 'layers'; readonly layers: readonly ResultLayer[] }
  | {
      readonly kind: 'tree';
      readonly tree: Tree;
      /** Whether the tree's owners mean something; those of a local context do not (L-COPY-11). */
      readonly keepOwners: boolean;
      /** The time that was asked for its files (`mtime=commit`); other times are no part of what a tree is. Nanoseconds. */
      readonly mtime?: bigint;
      /** The whole tree as a directory of this host, where it is one. */
      readonly directory?: string;
    };

/** The layers of an outcome that is a filesystem; a tree has none, which only a bug can ask for. */
export function layersOf(outcome: StepOutcome | undefined): readonly ResultLayer[] {
  if (outcome === undefined) return [];
  if (outcome.kind !== 'layers') throw new TypeError('a filesystem was expected, not a tree');
  return outcome.layers;
}
