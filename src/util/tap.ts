import type { ByteStream } from './streams.ts';

/** One stream for two: see `tapped`. */
export interface Tapped {
  /** Drives the source. */
  readonly main: ByteStream;
  /** The same bytes for a second consumer. One that leaves early is not waited for any more; it never ends `main`. */
  readonly side: ByteStream;
  /** The second consumer wants no more. */
  leave(): void;
}

/**
 * Lets a second consumer have the bytes of a stream while the first takes them, the faster waiting for the slower: no more than one chunk is
 * held. Both see the source's error. `side` must be consumed or left, or `main` waits for it; when `main` is left early, `side` ends with an error.
 */
export function tapped(source: ByteStream): Tapped {
  let offer = Promise.withResolvers<Uint8Array | undefined>();
  let taken = Promise.withResolvers<void>();
  let gone = false;
  offer.promise.catch(() => undefined);

  async function* main(): ByteStream {
    let ended = false;
    try {
      for await (const chunk of source) {
        if (!gone) {
          offer.resolve(chunk);
          await taken.promise;
          taken = Promise.withResolvers();
        }
        yield chunk;
      }
      ended = true;
      offer.resolve(undefined);
    } catch (error) {
      offer.reject(error);
      throw error;
    } finally {
      if (!ended) offer.reject(new Error('the stream was left before its end'));
    }
  }

  async function* side(): ByteStream {
    try {
      for (;;) {
        const chunk = await offer.promise;
        if (chunk === undefined) return;
        offer = Promise.withResolvers();
        offer.promise.catch(() => undefined);
        taken.resolve();
        yield chunk;
      }
    } finally {
      leave();
    }
  }
  function leave(): void {
    gone = true;
    taken.resolve();
  }
  return { main: main(), side: side(), leave };
}
