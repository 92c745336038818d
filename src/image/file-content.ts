import { closeSync, constants, openSync, readSync } from 'node:fs';
import { BuildError } from '../util/build-error.ts';
import { lend } from '../util/streams.ts';

const chunkSize = 512 * 1024;

/**
 * The bytes of a regular file, or `size` of them from `start` on. Never follows a link in the last part. Synchronous
 * reads: four times faster than promises on files that are cached, which they mostly are. Throws STORE_FAILED when
 * the file is shorter than `start + size`.
 */
export async function* fileContent(
  path: string,
  part?: { readonly start: number; readonly size: number },
): AsyncGenerator<Uint8Array> {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    let position = part?.start ?? 0;
    let left = part?.size ?? Infinity;
    const free: Buffer[] = [];
    while (left > 0) {
      const size = Math.min(chunkSize, left);
      const buffer = free.pop() ?? Buffer.allocUnsafeSlow(size);
      const count = readSync(fd, buffer, 0, size, position);
      if (count === 0) {
        if (part !== undefined) throw new BuildError('STORE_FAILED', `${path} is shorter than it was`);
        return;
      }
      position += count;
      left -= count;
      yield lend(buffer.subarray(0, count), () => free.push(buffer));
    }
  } finally {
    closeSync(fd);
  }
}
