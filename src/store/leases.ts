import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../oci/digest.ts';
import { digestHex } from '../oci/digest.ts';
import type { Lock } from './lock.ts';
import { lockFile } from './lock.ts';
import { storeError } from './store-error.ts';

/** One holder per cache key among all builds that share a store: `<root>/leases/<hex>`, a kernel lock that dies with its process. */
export interface Leases {
  /** Waits until nobody else holds the lease of `key`. Throws the signal's reason. */
  acquire(key: Digest, signal?: AbortSignal): Promise<Lock>;
}

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
