import { writeSync } from 'node:fs';

/**
 * The kernel takes memory for a file in pieces as large as the write. Small pieces it mostly has at hand; large ones are memory that was not used for
 * long, which a virtual machine has to get from its host first: 256 KiB at once take twice the time of 64 KiB.
 */
const piece = 64 * 1024;

/** Synchronously: what goes to the page cache takes less than to wake a thread for it. */
export function writeFully(fd: number, chunk: Uint8Array): void {
  for (let offset = 0; offset < chunk.length;) {
    offset += writeSync(fd, chunk, offset, Math.min(piece, chunk.length - offset));
  }
}
