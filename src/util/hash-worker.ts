import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import type { HashAnswer } from './hash-ring.ts';
import { DROP, EMPTIED, END, FILLED, hashRing, SLOT_SIZE, SLOTS } from './hash-ring.ts';

// A thread that hashes what stands in the ring, for ever: its process ends it.

const { counters, words, bytes } = hashRing(workerData as SharedArrayBuffer);
const hashes = new Map<number, Hash>();

for (let done = 0; ; done = (done + 1) | 0) {
  // A wake-up may come late, for a slot that is done already.
  while (Atomics.load(counters, FILLED) === done) Atomics.wait(counters, FILLED, done);
  const slot = (done >>> 0) % SLOTS;
  const [id = 0, length = 0] = words.subarray(slot * 2, slot * 2 + 2);
  if (length === DROP) hashes.delete(id);
  else if (length === END) {
    const hash = hashes.get(id) ?? createHash('sha256');
    hashes.delete(id);
    parentPort?.postMessage({ id, hex: hash.digest('hex') } satisfies HashAnswer);
  } else {
    const hash = hashes.get(id) ?? createHash('sha256');
    hashes.set(id, hash);
    hash.update(bytes.subarray(slot * SLOT_SIZE, slot * SLOT_SIZE + length));
  }
  Atomics.store(counters, EMPTIED, (done + 1) | 0);
  Atomics.notify(counters, EMPTIED);
}
