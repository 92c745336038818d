import { lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../oci/digest.ts';
import { digestHex } from '../oci/digest.ts';
import type { Lock } from './lock.ts';
import { lockFile, tryLockFile } from './lock.ts';
import { storeError } from './store-error.ts';

/** One holder per cache key among all builds that share a store: `<root>/leases/<hex>`, a kernel lock that dies with its process. */
export interface Leases {
  /** Waits until nobody else holds the lease of `key`. Throws the signal's reason. */
  acquire(key: Digest, signal?: AbortSignal): Promise<Lock>;
}

/** Removes the files of leases whose holder was killed; those that are held stay. Returns how many went. */
export function removeStaleLeases(root: string, limit = 1000): number {
  const directory = join(root, 'leases');
  let names: string[] = [];
  try {
    names = readdirSync(directory);
  } catch {
    // None was ever taken.
  }
  let count = 0;
  for (const name of names.slice(0, limit)) {
    if (!/^[0-9a-f]{64}$/.test(name) || lstatSync(join(directory, name), missing)?.isFile() !== true)
      continue;
    const lock = tryLockFile(join(directory, name), { remove: true });
    if (lock !== undefined) count += 1;
    lock?.release();
  }
  return count;
}

const missing = { throwIfNoEntry: false } as const;

export function openLeases(root: string): Leases {
  const directory = join(root, 'leases');
  return {
    acquire: async (key, signal) => {
      try {
        mkdirSync(directory, { recursive: true, mode: 0o700 });
      } catch (error) {
        throw storeError(error, `making ${directory}`);
      }
      return lockFile(join(directory, digestHex(key)), { signal, remove: true });
    },
  };
}
