import { parsePruneFilter } from '../store/prune-filter.ts';
import type { Pruned } from '../store/prune.ts';
import { withSession } from './session.ts';
import { maintainStore } from './store-task.ts';
import type { PruneOptions, PruneResult } from './store-types.ts';

/** How long commands that read the store are waited for, milliseconds: cached builds take a tenth of a second. */
const patience = 10_000;

/**
 * Removes what the options mean and nobody uses (KM-2, KM-3), also beside running builds: what they have used stays, and so does all that the
 * images of the store need. Errors: USAGE for a filter, STORE_FAILED.
 */
export function prune(options: PruneOptions = {}): Promise<PruneResult> {
  const { filters = [], all, maxUsedSpace, minFreeSpace, reservedSpace, dryRun } = options;
  for (const filter of filters) parsePruneFilter(filter);
  const request = { filters, all, maxUsedSpace, minFreeSpace, reservedSpace, dryRun };
  return withSession(
    options,
    async (session) => (await maintainStore(session, { kind: 'prune', request, wait: patience })) as Pruned,
  );
}
