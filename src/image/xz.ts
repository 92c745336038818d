import { createRequire } from 'node:module';
import type * as xzDecompress from 'xz-decompress';
import type { ByteStream } from '../util/streams.ts';

type XzDecompress = typeof xzDecompress;

/**
 * Unpacks xz (one stream, any number of blocks). Throws when the input is damaged, is cut short, or goes on after its end.
 * The decoder is one for the process: a second archive waits until the first is done or given up.
 */
export async function* unpackXz(packed: ByteStream): AsyncGenerator<Uint8Array> {
  const require = createRequire(import.meta.url);
  const { XzReadableStream } = require('xz-decompress') as XzDecompress;
  const source = packed[Symbol.asyncIterator]();
  // Our own queue: the decoder's frees the place of another when somebody who waits in it leaves.
  const before = turn;
  const { promise, resolve: leave } = Promise.withResolvers<void>();
  turn = before.then(() => promise);
  await before;
  const input = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        for (;;) {
          const next = await source.next();
          if (next.done === true) return controller.close();
          if (next.value.length > 0) return controller.enqueue(next.value);
        }
      },
    },
    { highWaterMark: 0 },
  );
  try {
    const reader = new XzReadableStream(input).getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        // The decoder hands out views of memory that it uses again.
        if (value.length > 0) yield Uint8Array.from(value);
      }
    } finally {
      await reader.cancel().catch(() => undefined);
    }
    const rest = await source.next();
    if (rest.done !== true && rest.value.some((byte) => byte !== 0)) {
      throw new Error('it has several xz streams, which are not supported');
    }
  } finally {
    leave();
    await source.return?.();
  }
}

let turn: Promise<void> = Promise.resolve();
