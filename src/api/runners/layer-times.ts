import type { JsonValue } from '../../util/canonical-json.ts';

/** The clock of one build: SOURCE_DATE_EPOCH when it is set, else the real one (X-RE-1). */
export interface LayerTimes {
  /** For `created` of the layer's history entry: ISO 8601. */
  created(): string;
  /** For the layer writer: latest mtime that an entry may have, in nanoseconds. Only with SOURCE_DATE_EPOCH. */
  clamp(): { readonly clampMtime?: bigint };
  /** For files that a step makes itself: nanoseconds. */
  entryTime(): { readonly now: bigint };
  /** What of it decides a layer's bytes: part of cache keys. */
  identity(): JsonValue;
}

/** @param epoch SOURCE_DATE_EPOCH in seconds. */
export function layerTimes(epoch: number | undefined): LayerTimes {
  if (epoch === undefined) {
    return {
      created: () => new Date().toISOString(),
      clamp: () => ({}),
      entryTime: () => ({ now: BigInt(Date.now()) * 1_000_000n }),
      identity: () => null,
    };
  }
  const nanoseconds = BigInt(epoch) * 1_000_000_000n;
  return {
    created: () => new Date(epoch * 1000).toISOString(),
    clamp: () => ({ clampMtime: nanoseconds }),
    entryTime: () => ({ now: nanoseconds }),
    identity: () => epoch,
  };
}
