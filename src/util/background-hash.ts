import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { HashAnswer, HashRing } from './hash-ring.ts';
import { DROP, EMPTIED, END, FILLED, hashRing, newRingMemory, SLOT_SIZE, SLOTS } from './hash-ring.ts';

/** SHA-256 of a stream, made on another thread. Dispose it when the digest is not asked for. */
export interface BackgroundHash extends Disposable {
  /** Copies the bytes; waits only while the thread lags behind. */
  update(bytes: Uint8Array): Promise<void> | undefined;
  /** In hex; called once, at the end. */
  digest(): Promise<string>;
}

/**
 * One thread hashes all large streams of this process beside what the process does with them: hashing costs as much as all else that is done to a
 * byte between a socket and a file. It takes some 20 ms to start, so small streams are better hashed where they are.
 */
class HashThread {
  readonly #worker: Worker;
  readonly #ring: HashRing;
  readonly #digests = new Map<number, PromiseWithResolvers<string>>();
  #filled = 0;
  #count = 0;
  #failure: Error | undefined;

  constructor() {
    const memory = newRingMemory();
    this.#ring = hashRing(memory);
    // The sources run as they are, compiled or not.
    const program = fileURLToPath(new URL(`./hash-worker${extname(import.meta.url)}`, import.meta.url));
    this.#worker = new Worker(program, { workerData: memory });
    this.#worker.unref();
    this.#worker.on('message', ({ id, hex }: HashAnswer) => this.#digests.get(id)?.resolve(hex));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('the thread that hashes has ended')));
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#digests.values()) reject(this.#failure);
    // Whoever waits for a free slot finds out.
    Atomics.add(this.#ring.counters, EMPTIED, SLOTS);
    Atomics.notify(this.#ring.counters, EMPTIED);
  }

  start(): BackgroundHash {
    this.#count = (this.#count + 1) | 0;
    const id = this.#count;
    const digest = Promise.withResolvers<string>();
    digest.promise.catch(() => undefined);
    // The process stays until a digest that somebody waits for is there.
    if (this.#digests.size === 0) this.#worker.ref();
    this.#digests.set(id, digest);
    const done = (): void => {
      if (this.#digests.delete(id) && this.#digests.size === 0) this.#worker.unref();
    };
    let ended = false;
    return {
      update: (bytes) => this.#write(id, bytes),
      digest: async () => {
        ended = true;
        await this.#put(id, END);
        try {
          return await digest.promise;
        } finally {
          done();
        }
      },
      [Symbol.dispose]: () => {
        if (ended) return;
        ended = true;
        void this.#put(id, DROP)?.catch(() => undefined);
        done();
      },
    };
  }

  #write(id: number, bytes: Uint8Array): Promise<void> | undefined {
    for (let offset = 0; offset < bytes.length; offset += SLOT_SIZE) {
      const waiting = this.#put(id, bytes.subarray(offset, offset + SLOT_SIZE));
      if (waiting === undefined) continue;
      const rest = bytes.subarray(offset + SLOT_SIZE);
      return waiting.then(() => this.#write(id, rest));
    }
    return undefined;
  }

  /** Fills the next slot, when it is free. */
  #put(id: number, what: Uint8Array | number): Promise<void> | undefined {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const { counters, words, bytes } = this.#ring;
    const emptied = Atomics.load(counters, EMPTIED);
    if (((this.#filled - emptied) | 0) >= SLOTS) {
      const { value } = Atomics.waitAsync(counters, EMPTIED, emptied);
      return Promise.resolve(value).then(() => this.#put(id, what));
    }
    const slot = (this.#filled >>> 0) % SLOTS;
    words[slot * 2] = id;
    words[slot * 2 + 1] = typeof what === 'number' ? what : what.length;
    if (typeof what !== 'number') bytes.set(what, slot * SLOT_SIZE);
    this.#filled = (this.#filled + 1) | 0;
    Atomics.store(counters, FILLED, this.#filled);
    Atomics.notify(counters, FILLED);
    return undefined;
  }
}

let thread: HashThread | undefined;

/** Starts a hash on the thread, which is started when first asked for. */
export function backgroundHash(): BackgroundHash {
  if (thread === undefined || thread.failed) thread = new HashThread();
  return thread.start();
}
