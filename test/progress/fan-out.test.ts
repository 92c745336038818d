import { expect, test } from 'vitest';
import type { ProgressEvent } from '../../src/progress/event.ts';
import { eventQueue, fanOut } from '../../src/progress/fan-out.ts';

const event = (message: string): ProgressEvent => ({
  type: 'diagnostic',
  diagnostic: { severity: 'note', rule: 'Test', message },
});

test('every listener gets every event, in order', () => {
  const seen: string[] = [];
  const listener = (name: string) => (given: ProgressEvent) => seen.push(`${name} ${given === one}`);
  const one = event('one');
  fanOut([listener('a'), undefined, listener('b')])(one);
  fanOut([undefined, listener('c')])(one);
  fanOut([])(one);
  expect(seen).toEqual(['a true', 'b true', 'c true']);
});

test('a queue gives what came before and during the loop, then ends', async () => {
  const queue = eventQueue();
  const seen: string[] = [];
  queue.emit(event('1'));
  queue.emit(event('2'));
  const loop = (async () => {
    for await (const given of queue) if (given.type === 'diagnostic') seen.push(given.diagnostic.message);
  })();
  await new Promise((resolve) => setImmediate(resolve));
  queue.emit(event('3'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen).toEqual(['1', '2', '3']);
  queue.emit(event('4'));
  queue.end();
  queue.emit(event('too late'));
  await loop;
  expect(seen).toEqual(['1', '2', '3', '4']);
});
