import type { MkdirOp } from '../../graph/op.ts';
import { makeDirectoryEntries } from '../../image/make-directory.ts';
import type { LayerTrees } from '../../image/layer-tree.ts';
import { digestOfJson } from '../../oci/digest.ts';
import type { OpRunner } from '../../solver/runner.ts';
import type { JsonValue } from '../../util/canonical-json.ts';
import type { StepOutcome } from '../result.ts';
import { layersOf } from '../result.ts';
import { describeMkdir } from './describe.ts';
import type { LayerTimes } from './layer-times.ts';
import type { NewLayers } from './new-layer.ts';
import { baseKey, standing } from './stack.ts';

/** WORKDIR: one layer, with the directory and those of its parents that are missing. */
export function mkdirRunner(
  layers: NewLayers,
  times: LayerTimes,
  trees: LayerTrees,
): OpRunner<StepOutcome, MkdirOp> {
  return {
    cacheKey: (op) =>
      Promise.resolve(digestOfJson({ op: op as unknown as JsonValue, times: times.identity() })),
    inputKey: (_op, _index, base) => baseKey(trees, base),
    standing,
    describe: (op) => describeMkdir(op, times),
    run: async (op, inputs, context) => {
      const base = op.base === undefined ? [] : layersOf(inputs[op.base]);
      const tree = base.length === 0 ? undefined : trees.of(base.map(({ layer }) => layer));
      const entries = makeDirectoryEntries({
        path: op.path,
        user: op.user,
        base: tree,
        ...times.entryTime(),
      });
      return { kind: 'layers', layers: [...base, await layers.fromEntries(entries, context)] };
    },
  };
}
