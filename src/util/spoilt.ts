import { BuildError } from './build-error.ts';

/** Whether what came from elsewhere had other bytes than its digest or size says. */
export function isSpoilt(error: unknown): boolean {
  return error instanceof BuildError && error.code === 'CHECKSUM_MISMATCH';
}

/**
 * Does again, once and from the start, what wrong bytes from elsewhere have ended: a line, or a cache on the way, may have spoilt them. `work`
 * must have taken back what it did with them.
 */
export async function againIfSpoilt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isSpoilt(error)) throw error;
    return work();
  }
}
