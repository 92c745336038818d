import type { Layer, OpenOptions } from '../image/layer.ts';
import type { Emit } from '../progress/event.ts';
import { isSpoilt } from '../util/spoilt.ts';
import type { ByteStream } from '../util/streams.ts';
import { through } from '../util/streams.ts';

/**
 * Layers of a base image whose download is shown as a step of its own, from the first byte of the first layer to the last of those on
 * their way. Nothing is shown for layers that nobody reads.
 */
export function withPullProgress(layers: readonly Layer[], reference: string, emit: Emit): readonly Layer[] {
  const id = `internal:[internal] pull ${reference}` as const;
  let active = 0;
  const step = (state: 'running' | 'done' | 'failed', error?: unknown): void => {
    const reason = error === undefined ? {} : { error: error instanceof Error ? error.message : 'cancelled' };
    emit({ type: 'vertex', id, name: `[internal] pull ${reference}`, state, time: Date.now(), ...reason });
  };
  const spoilt = new Set<Layer>();
  async function* shown(layer: Layer, open: (onProgress: (bytes: number) => void) => ByteStream): ByteStream {
    const [digest, total] = [await layer.digest(), await layer.size()];
    const tell = (current: number, done: boolean): void =>
      emit({ type: 'transfer', id, name: digest, current, total, done, time: Date.now() });
    active += 1;
    if (active === 1) step('running');
    let failure: { readonly error: unknown } | undefined;
    let ended = false;
    try {
      yield* open((bytes) => tell(bytes, false));
      ended = true;
      tell(total, true);
    } catch (error) {
      failure = { error };
      throw error;
    } finally {
      active -= 1;
      // Whoever reads it reads it once more.
      if (isSpoilt(failure?.error) && !spoilt.has(layer)) spoilt.add(layer);
      else if (failure !== undefined || !ended) step('failed', failure?.error ?? 'cancelled');
      else if (active === 0) step('done');
    }
  }
  return layers.map((layer) => ({
    ...layer,
    compressed: (options: OpenOptions = {}) => {
      let see: ((bytes: number) => void) | undefined;
      const onProgress = (bytes: number): void => {
        see?.(bytes);
        options.onProgress?.(bytes);
      };
      const bytes = layer.compressed({ ...options, onProgress });
      return through(bytes, (handed) =>
        shown(layer, (tell) => {
          see = tell;
          return handed;
        }),
      );
    },
  }));
}
