import { parsePruneFilter } from '../store/prune-filter.ts';
import type { Survey, UsageRecord } from '../store/usage.ts';
import { withSession } from './session.ts';
import { maintainStore } from './store-task.ts';
import type { DiskUsage, DiskUsageOptions } from './store-types.ts';

/** What takes the disk in the store, record by record (KM-1, KM-4). Removes nothing. Errors: USAGE for a filter, STORE_FAILED. */
export function diskUsage(options: DiskUsageOptions = {}): Promise<DiskUsage> {
  const filters = (options.filters ?? []).map(parsePruneFilter);
  return withSession(options, async (session) => {
    const survey = (await maintainStore(session, { kind: 'usage' })) as Survey;
    const now = Date.now();
    const records = survey.items
      .map(({ paths: _paths, named: _named, ...record }): UsageRecord => record)
      .filter((record) => filters.every((matches) => matches(record, now)))
      .toSorted((a, b) => b.bytes - a.bytes || a.id.localeCompare(b.id, 'en'));
    const sum = (isMeant: (record: UsageRecord) => boolean): number =>
      records.reduce((total, record) => total + (isMeant(record) ? record.bytes : 0), 0);
    const shared = sum((record) => record.shared);
    const total = sum(() => true);
    return {
      records,
      shared,
      private: total - shared,
      reclaimable: sum((record) => record.reclaimable),
      total,
    };
  });
}
