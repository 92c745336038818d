import type { StoredLayer } from '../../image/layer-store.ts';
import type { LayerTrees } from '../../image/layer-tree.ts';
import type { Digest } from '../../oci/digest.ts';
import type { OpRunner } from '../../solver/runner.ts';
import type { ResultLayer, StepOutcome } from '../result.ts';
import { layersOf } from '../result.ts';

/** An op that puts one layer on what is below it; undefined: on nothing. */
interface LayeredOp {
  readonly base: number | undefined;
}

/** How a step's result stands on its base: all that is below its own layer, which is the last. */
export const standing: NonNullable<OpRunner<StepOutcome, never>['standing']> = {
  base: (op: LayeredOp) => op.base,
  below: (result) => ({ kind: 'layers', layers: layersOf(result).slice(0, -1) }),
  onto: (result, base) => ({ kind: 'layers', layers: [...layersOf(base), ...layersOf(result).slice(-1)] }),
};

/** The layers of a result without what is known about them. */
export function stackOf(outcome: StepOutcome | undefined): readonly StoredLayer[] {
  return layersOf(outcome).map(({ layer }: ResultLayer) => layer);
}

/** Content of all that a step finds below it: the whole filesystem, whichever layers it comes from (early cutoff). */
export function baseKey(trees: LayerTrees, base: StepOutcome): Promise<Digest | undefined> {
  return trees.of(stackOf(base)).identity('');
}
