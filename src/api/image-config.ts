import type { LoweredImage } from '../frontend/lower.ts';
import type { HistoryEntry, ImageConfig } from '../oci/config.ts';
import type { Digest } from '../oci/digest.ts';
import type { SourceLocation } from '../util/source.ts';
import type { ResultLayer } from './result.ts';

/** A layer of the image that the Dockerfile made, and the line that did. */
export interface OwnLayer {
  readonly layer: ResultLayer;
  readonly source: SourceLocation | undefined;
}

/** The layers that are not those of the base image, in order. */
export function ownLayers(lowered: LoweredImage, layers: readonly ResultLayer[]): readonly OwnLayer[] {
  const entries = lowered.history.filter(({ vertex }) => vertex !== undefined);
  return layers
    .slice(layers.length - entries.length)
    .map((layer, index) => ({ layer, source: entries[index]?.source }));
}

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
  const own = ownLayers(lowered, layers);
  const history: HistoryEntry[] = [];
  let time = start;
  let next = 0;
  for (const { vertex, source: _, ...entry } of lowered.history) {
    if (vertex !== undefined) {
      time = fixed ?? own[next]?.layer.created ?? time;
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
