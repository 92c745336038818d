import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { drained } from '../../src/cli/drain.ts';

/** A stream of one byte's patience: each write waits until it is let go. */
function slowStream(): { readonly stream: Writable; readonly letGo: () => void } {
  let done: (() => void) | undefined;
  const stream = new Writable({
    highWaterMark: 1,
    write: (_data, _encoding, callback) => {
      done = (): void => callback();
    },
  });
  return { stream, letGo: () => done?.() };
}

describe('drained', () => {
  test('there is nothing to wait for while the reader keeps up', () => {
    expect(drained(slowStream().stream)).toBeUndefined();
  });

  test('one promise for all who wait; it settles when the reader has caught up', async () => {
    const { stream, letGo } = slowStream();
    stream.write('ab');
    const [one, two] = [drained(stream), drained(stream)];
    expect(one).toBeInstanceOf(Promise);
    expect(two).toBe(one);
    letGo();
    await one;
    expect(drained(stream)).toBeUndefined();
    expect(['drain', 'close', 'error'].map((event) => stream.listenerCount(event))).toEqual([0, 0, 0]);
  });

  test('it settles when the reader has gone', async () => {
    const { stream } = slowStream();
    stream.on('error', () => undefined);
    stream.write('ab');
    const waiting = drained(stream);
    stream.destroy(new Error('EPIPE'));
    await waiting;
  });
});
