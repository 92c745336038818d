import { extname } from 'node:path';
import type { Worker } from 'node:worker_threads';

/** To the thread. `written`: the file has this many bytes by now. */
export type HashRequest =
  | { readonly kind: 'start'; readonly id: number; readonly path: string }
  | { readonly kind: 'written'; readonly id: number; readonly size: number }
  | { readonly kind: 'end'; readonly id: number }
  | { readonly kind: 'forget'; readonly id: number };

export type HashAnswer =
  | { readonly id: number; readonly hex: string }
  | { readonly id: number; readonly error: string };

/** A file that is hashed while it is written. */
export interface FileHash {
  /** All bytes up to `size` are in the file. */
  written(size: number): void;
  /** sha256 of what was written, in hex; rejects when the file could not be read. */
  digest(): Promise<string>;
  /** Instead of `digest`, when it is not needed. */
  forget(): void;
}

interface Thread {
  readonly worker: Worker;
  /** Why it has ended. */
  failure?: Error;
  readonly waiting: Map<number, PromiseWithResolvers<string>>;
}

let thread: Thread | undefined;
let serial = 0;

/**
 * Hashes a file in a thread of its own, as its bytes come: hashing them costs as much as to receive and to write them, and one thread
 * would do one after the other. The thread reads what was written; to hand it the bytes costs more. It never keeps the process alive.
 */
export function hashFile(path: string): FileHash {
  const own = (thread ??= start());
  const { worker, waiting } = own;
  const id = serial++;
  const send = (request: HashRequest): void => worker.postMessage(request);
  send({ kind: 'start', id, path });
  return {
    written: (size) => send({ kind: 'written', id, size }),
    forget: () => send({ kind: 'forget', id }),
    digest: () => {
      if (own.failure !== undefined) return Promise.reject(own.failure);
      const answer = Promise.withResolvers<string>();
      waiting.set(id, answer);
      worker.ref();
      send({ kind: 'end', id });
      return answer.promise;
    },
  };
}

function start(): Thread {
  // Loaded here: most commands write no large blob.
  const { Worker } = process.getBuiltinModule('node:worker_threads');
  const worker = new Worker(new URL(`./hash-thread${extname(import.meta.url)}`, import.meta.url), {
    env: {},
    execArgv: ['--no-warnings'],
  });
  worker.unref();
  const waiting: Thread['waiting'] = new Map();
  const made: Thread = { worker, waiting };
  worker.on('message', (message: HashAnswer) => {
    const answer = waiting.get(message.id);
    waiting.delete(message.id);
    if (waiting.size === 0) worker.unref();
    if ('hex' in message) answer?.resolve(message.hex);
    else answer?.reject(new Error(message.error));
  });
  // It ends by itself only when memory is at its end; the next file gets a new one.
  worker.on('error', (error) => {
    if (thread === made) thread = undefined;
    made.failure = error;
    for (const answer of waiting.values()) answer.reject(error);
    waiting.clear();
  });
  return made;
}
