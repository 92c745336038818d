import type { StoreCheck } from '../store/check.ts';
import { withSession } from './session.ts';
import { maintainStore } from './store-task.ts';
import type { StoreCheckOptions } from './store-types.ts';

/** How long commands that read the store are waited for before it is repaired, milliseconds. */
const patience = 10_000;

/**
 * Reads all of the store and tells what in it is not as it should be: blobs against their digests, images, unpacked layers, records, downloads,
 * and what killed processes have left. With `repair` what is broken is dropped, so that it is made or fetched anew; whole images stay.
 * Error: STORE_FAILED.
 */
export function checkStore(options: StoreCheckOptions = {}): Promise<StoreCheck> {
  const task = { kind: 'check', repair: options.repair === true, wait: patience } as const;
  return withSession(options, async (session) => (await maintainStore(session, task)) as StoreCheck);
}
