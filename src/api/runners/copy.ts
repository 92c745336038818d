import type { CopyOp } from '../../graph/op.ts';
import { copyContentKey, copyEntries } from '../../image/copy.ts';
import type { LayerTrees } from '../../image/layer-tree.ts';
import type { Tree } from '../../image/tree.ts';
import { digestOf, digestOfJson } from '../../oci/digest.ts';
import type { OpRunner } from '../../solver/runner.ts';
import type { JsonValue } from '../../util/canonical-json.ts';
import type { StepOutcome } from '../result.ts';
import { layersOf } from '../result.ts';
import { copyFiles, describeCopy } from './describe.ts';
import type { LayerTimes } from './layer-times.ts';
import type { NewLayers } from './new-layer.ts';
import { baseKey, stackOf, standing } from './stack.ts';

/**
 * COPY and ADD (K-7): keyed by the instruction and by the content of the files that it selects, never by where they are. Where they go, and whom
 * a name in --chown means, is told by what the step stands on.
 */
export function copyRunner(
  layers: NewLayers,
  times: LayerTimes,
  trees: LayerTrees,
): OpRunner<StepOutcome, CopyOp> {
  const treeOf = (outcome: StepOutcome): Tree =>
    outcome.kind === 'tree' ? outcome.tree : trees.of(stackOf(outcome));
  return {
    cacheKey: (op) => Promise.resolve(digestOfJson(copyIdentity(op, times))),
    inputKey: async (op, index, input) => {
      if (index === op.base) return op.link ? unread : baseKey(trees, input);
      const key = await copyContentKey(op, index, treeOf(input));
      const mtime = input.kind === 'tree' ? input.mtime : undefined;
      return mtime === undefined ? key : digestOfJson([key, String(mtime)]);
    },
    selector: (op, index) => {
      if (index === op.base) return undefined;
      return op.sources.flatMap((source) =>
        source.kind === 'input' && source.input === index ? [...source.paths, '/'] : [],
      );
    },
    standing,
    describe: (op) => describeCopy(op, times),
    inputFiles: (op, index, input) =>
      index === op.base ? Promise.resolve(undefined) : copyFiles(op, index, treeOf(input)),
    run: async (op, inputs, context) => {
      const baseLayers = op.base === undefined ? [] : layersOf(inputs[op.base]);
      const sources = op.sources.map((source) => {
        if (source.kind === 'inline') return { source, keepOwners: true };
        const input = inputs[source.input];
        if (input === undefined) throw new TypeError(`copy has no input ${source.input}`);
        return { source, tree: treeOf(input), keepOwners: input.kind === 'layers' || input.keepOwners };
      });
      const needsBase = !op.link && baseLayers.length > 0;
      const entries = copyEntries({
        op,
        sources,
        base: needsBase ? trees.of(baseLayers.map(({ layer }) => layer)) : undefined,
        ...times.entryTime(),
      });
      return { kind: 'layers', layers: [...baseLayers, await layers.fromEntries(entries, context)] };
    },
  };
}

/** What --link reads of the base (K-8). */
const unread = digestOf('nothing');

/** The op without the paths of its sources: what they select, and the names that decide where it goes, is in the content key. */
function copyIdentity(op: CopyOp, times: LayerTimes): JsonValue {
  const sources = op.sources.map((source) => (source.kind === 'input' ? { ...source, paths: [] } : source));
  return { op: { ...op, sources } as unknown as JsonValue, times: times.identity() };
}
