import { writeSync, writevSync } from 'node:fs';

/**
 * In one call and without joining the chunks: at half the time and a fraction of the memory of a joined buffer. Synchronously: what goes
 * to the page cache takes less than to wake a thread for it.
 */
export function writeFully(fd: number, chunks: readonly Uint8Array[]): void {
  let written = writevSync(fd, chunks);
  // What a full disk or a signal has left of it.
  for (const chunk of chunks) {
    const from = Math.min(written, chunk.length);
    written -= from;
    for (let offset = from; offset < chunk.length;) {
      offset += writeSync(fd, chunk, offset, chunk.length - offset);
    }
  }
}
