import { extname } from 'node:path';
import type { Worker } from 'node:worker_threads';

export type WriterRequest =
  | { readonly kind: 'open'; readonly id: number; readonly path: string }
  | { readonly kind: 'write'; readonly id: number; readonly chunks: readonly Uint8Array[] }
  | { readonly kind: 'end'; readonly id: number }
  | { readonly kind: 'abandon'; readonly id: number };

export type WriterAnswer = { readonly id: number } & (
  | { readonly kind: 'written'; readonly size: number }
  | { readonly kind: 'ended'; readonly hex: string }
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | undefined }
);

/** A file that another thread writes and hashes. Each call throws the system's error when a write before it has failed. */
export interface BlobWriter {
  /** Takes the chunks: their memory is gone here. Waits while too much is on its way. */
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /** All is in the file; its sha256 in hex. */
  end(): Promise<string>;
  /** Instead of `end`; nothing is written after it that is not on its way already. */
  abandon(): void;
}

interface File {
  onWay: number;
  failure?: Error;
  hex?: string;
  wake: () => void;
}

interface Thread {
  readonly worker: Worker;
  readonly files: Map<number, File>;
  /** Those who wait for an answer. */
  waiting: number;
}

/** Bytes of one file. */
const mostOnWay = 2 * 1024 * 1024;

let thread: Thread | undefined;
let serial = 0;

/**
 * Writes the file at `path`, which is there and empty, in a thread that all such files share. Between a socket and a file bytes are received, written
 * and hashed, each at a similar cost: one thread would do one after the other. The thread never keeps the process alive. undefined: this process
 * gets no more threads.
 */
export function openBlobWriter(path: string): BlobWriter | undefined {
  const own = (thread ??= start());
  if (own === undefined) return undefined;
  const id = serial++;
  const file: File = { onWay: 0, wake: () => undefined };
  own.files.set(id, file);
  const send = (request: WriterRequest, transfer: ArrayBuffer[] = []): void =>
    own.worker.postMessage(request, transfer);
  const check = (): void => {
    if (file.failure !== undefined) throw file.failure;
  };
  const until = async (reached: () => boolean): Promise<void> => {
    if (own.waiting++ === 0) own.worker.ref();
    try {
      while (!reached() && file.failure === undefined) {
        await new Promise<void>((resolve) => {
          file.wake = resolve;
        });
      }
    } finally {
      if (--own.waiting === 0) own.worker.unref();
    }
    check();
  };
  send({ kind: 'open', id, path });
  return {
    write: async (chunks) => {
      check();
      const owned = chunks.map(alone);
      for (const chunk of owned) file.onWay += chunk.length;
      send(
        { kind: 'write', id, chunks: owned },
        owned.map((chunk) => chunk.buffer),
      );
      if (file.onWay > mostOnWay) await until(() => file.onWay <= mostOnWay / 2);
    },
    end: async () => {
      send({ kind: 'end', id });
      try {
        await until(() => file.hex !== undefined);
      } finally {
        own.files.delete(id);
      }
      return file.hex ?? '';
    },
    abandon: () => {
      own.files.delete(id);
      send({ kind: 'abandon', id });
    },
  };
}

/** A chunk that has its memory for itself, which can be given away. */
function alone(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = chunk;
  return buffer instanceof ArrayBuffer && buffer.byteLength === chunk.length
    ? new Uint8Array(buffer)
    : Uint8Array.from(chunk);
}

function start(): Thread | undefined {
  // Loaded here: most commands write no large blob.
  const { Worker } = process.getBuiltinModule('node:worker_threads');
  let worker: Worker;
  try {
    worker = new Worker(new URL(`./blob-thread${extname(import.meta.url)}`, import.meta.url), {
      env: {},
      execArgv: ['--no-warnings'],
    });
  } catch {
    // A limit of processes, of a container or a user, counts threads.
    return undefined;
  }
  worker.unref();
  const made: Thread = { worker, files: new Map(), waiting: 0 };
  worker.on('message', (message: WriterAnswer) => {
    const file = made.files.get(message.id);
    if (file === undefined) return;
    if (message.kind === 'written') file.onWay -= message.size;
    else if (message.kind === 'ended') file.hex = message.hex;
    else file.failure = Object.assign(new Error(message.message), { code: message.code });
    file.wake();
  });
  // It ends by itself only when memory is at its end; the next file gets a new one.
  worker.on('error', (error) => {
    if (thread === made) thread = undefined;
    for (const file of made.files.values()) {
      file.failure = error;
      file.wake();
    }
  });
  return made;
}
