import type { Output } from './context.ts';

const waiting = new WeakMap<Output, Promise<void>>();

/**
 * What a writer has to wait for before it goes on, so that a slow reader of the stream does not make the memory grow; undefined: nothing.
 * Settles too when the reader has gone.
 */
export function drained(stream: Output): Promise<void> | undefined {
  if (stream.writableNeedDrain !== true) return undefined;
  const known = waiting.get(stream);
  if (known !== undefined) return known;
  const promise = new Promise<void>((resolve) => {
    const events = ['drain', 'close', 'error'];
    const done = (): void => {
      for (const event of events) stream.removeListener(event, done);
      waiting.delete(stream);
      resolve();
    };
    for (const event of events) stream.on(event, done);
  });
  waiting.set(stream, promise);
  return promise;
}
