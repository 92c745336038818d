import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { writeFully } from '../util/write-fully.ts';
import type { WriterAnswer, WriterRequest } from './blob-writer.ts';

interface Writing {
  readonly fd: number;
  readonly hash: Hash;
}

const files = new Map<number, Writing>();

parentPort?.on('message', (request: WriterRequest) => {
  const { id } = request;
  try {
    handle(request);
  } catch (error) {
    close(id);
    const { message, code } = error as NodeJS.ErrnoException;
    answer({ id, kind: 'failed', message, code });
  }
});

function handle(request: WriterRequest): void {
  const { id } = request;
  if (request.kind === 'open') {
    files.set(id, { fd: openSync(request.path, 'r+'), hash: createHash('sha256') });
    return;
  }
  const file = files.get(id);
  // Failed before: what follows was on its way.
  if (file === undefined) return;
  if (request.kind === 'write') {
    let size = 0;
    for (const chunk of request.chunks) {
      writeFully(file.fd, chunk);
      file.hash.update(chunk);
      size += chunk.length;
      // At once, and not when this thread collects its garbage: the next piece comes into the same memory then.
      (chunk.buffer as ArrayBuffer).transfer(0);
    }
    answer({ id, kind: 'written', size });
    return;
  }
  close(id);
  if (request.kind === 'end') answer({ id, kind: 'ended', hex: file.hash.digest('hex') });
}

function close(id: number): void {
  const file = files.get(id);
  files.delete(id);
  if (file !== undefined) closeSync(file.fd);
}

function answer(message: WriterAnswer): void {
  parentPort?.postMessage(message);
}
