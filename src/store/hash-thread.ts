import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { HashAnswer, HashRequest } from './file-hash.ts';

interface Hashing {
  readonly fd: number;
  readonly hash: Hash;
  offset: number;
}

const files = new Map<number, Hashing>();
const failed = new Map<number, string>();
const buffer = Buffer.allocUnsafeSlow(256 * 1024);

parentPort?.on('message', (request: HashRequest) => {
  try {
    if (!failed.has(request.id)) handle(request);
  } catch (error) {
    failed.set(request.id, error instanceof Error ? error.message : String(error));
    forget(request.id);
  }
  if (request.kind === 'end' && failed.has(request.id))
    answer({ id: request.id, error: failed.get(request.id) ?? '' });
  if (request.kind === 'end' || request.kind === 'forget') failed.delete(request.id);
});

function handle(request: HashRequest): void {
  const { id } = request;
  if (request.kind === 'start') {
    files.set(id, { fd: openSync(request.path, 'r'), hash: createHash('sha256'), offset: 0 });
    return;
  }
  const file = files.get(id);
  if (file === undefined) return;
  if (request.kind === 'written') {
    read(file, request.size);
    return;
  }
  if (request.kind === 'end') answer({ id, hex: file.hash.digest('hex') });
  forget(id);
}

function read(file: Hashing, size: number): void {
  while (file.offset < size) {
    const count = readSync(file.fd, buffer, 0, Math.min(buffer.length, size - file.offset), file.offset);
    if (count === 0) throw new Error('the file is shorter than what was written');
    file.hash.update(buffer.subarray(0, count));
    file.offset += count;
  }
}

function forget(id: number): void {
  const file = files.get(id);
  files.delete(id);
  if (file !== undefined) closeSync(file.fd);
}

function answer(message: HashAnswer): void {
  parentPort?.postMessage(message);
}
