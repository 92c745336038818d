import type { EntryStream } from '../../image/entry.ts';
import type { LayerStore } from '../../image/layer-store.ts';
import type { LayerLeak } from '../../image/secret-scan.ts';
import type { RunContext } from '../../solver/runner.ts';
import type { ResultLayer } from '../result.ts';
import type { SecretGate } from '../secret-gate.ts';
import type { StoredLayer } from '../../image/layer-store.ts';
import type { LayerTimes } from './layer-times.ts';

/** How the layers of a build come to be, whatever step makes them. */
export interface NewLayers {
  /** Keeps what a step has made of entries as a layer. Throws SECRET_LEAK. */
  fromEntries(entries: EntryStream, context: RunContext): Promise<ResultLayer>;
  /** A layer that was made elsewhere and searched for secrets there; `leaks` are those that are allowed. */
  made(layer: StoredLayer, leaks: readonly LayerLeak[], context: RunContext): ResultLayer;
}

export function newLayers(
  layerStore: LayerStore,
  times: LayerTimes,
  gate: SecretGate | undefined,
): NewLayers {
  const made: NewLayers['made'] = (layer, leaks, context) => {
    gate?.searched(layer.knownDiffId, leaks, context.vertex.meta.source);
    return { layer, created: times.created(), ...(leaks.length === 0 ? {} : { leaks }) };
  };
  return {
    made,
    fromEntries: async (entries, context) => {
      const inspection = gate?.inspect();
      const layer = await layerStore.fromEntries(entries, {
        ...times.clamp(),
        watch: inspection && ((all) => inspection.watch(all)),
        signal: context.signal,
      });
      return made(layer, inspection?.leaks ?? [], context);
    },
  };
}
