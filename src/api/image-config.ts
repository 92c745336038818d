import type { LoweredImage } from '../frontend/lower.ts';
import type { HistoryEntry, ImageConfig } from '../oci/config.ts';
import type { Digest } from '../oci/digest.ts';
import type { ResultLayer } from './result.ts';

/**
 * The config of a finished image. `created` is SOURCE_DATE_EPOCH, else the time kept with the newest layer that the build made, so
 * that a cached build repeats its digest; a build that made no layer keeps the base's time.
 */
export function imageConfig(
  lowered: LoweredImage,
  layers: readonly ResultLayer[],
  sourceDateEpoch: number | undefined,
): ImageConfig {
  const fixed = sourceDateEpoch === undefined ? undefined : new Date(sourceDateEpoch * 1000).toISOString();
  const start = fixed ?? lowered.baseHistory.at(-1)?.created ?? new Date(0).toISOString();
  const own = layers.slice(
    layers.length - lowered.history.filter((entry) => entry.vertex !== undefined).length,
  );
  const history: HistoryEntry[] = [];
  let time = start;
  let next = 0;
  for (const { vertex, ...entry } of lowered.history) {
    if (vertex !== undefined) {
      time = fixed ?? own[next]?.created ?? time;
      next += 1;
    }
    history.push({ created: time, ...entry });
  }
  const { os, architecture, variant, 'os.version': version, 'os.features': features } = lowered.platform;
  return {
    created: time,
    ...(lowered.config.author === undefined ? {} : { author: lowered.config.author }),
    architecture,
    os,
    ...(variant === undefined ? {} : { variant }),
    ...(version === undefined ? {} : { 'os.version': version }),
    ...(features === undefined ? {} : { 'os.features': features }),
    config: lowered.config.config,
    rootfs: { type: 'layers', diff_ids: layers.map(({ layer }): Digest => layer.knownDiffId) },
    history: [...lowered.baseHistory, ...history],
  };
}
