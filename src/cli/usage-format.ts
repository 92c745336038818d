import type { UsageRecord } from '../index.ts';
import { formatAgo, formatBytes, formatTable } from './format.ts';
import { sanitizeLine } from './sanitize.ts';

/** Records of the store as `docker buildx du` shows them: `*` after the id marks what steps can change, and after the size what is shared with an image. */
export function usageTable(records: readonly UsageRecord[], now: number): string {
  const rows = records.map((record) => [
    `${shortRecordId(record.id)}${record.mutable ? '*' : ''}`,
    record.type,
    String(record.reclaimable),
    `${formatBytes(record.bytes)}${record.shared ? '*' : ''}`,
    formatAgo(new Date(record.lastUsedAt).toISOString(), now),
    shortened(sanitizeLine(record.description)),
  ]);
  return formatTable([['ID', 'TYPE', 'RECLAIMABLE', 'SIZE', 'LAST USED', 'DESCRIPTION'], ...rows]);
}

/** One paragraph a record, with all that is known. */
export function usageDetails(records: readonly UsageRecord[], now: number): string {
  return records
    .map((record) => {
      const rows = Object.entries(usageFields(record, now)).map(([name, value]) => [
        `${name}:`,
        Array.isArray(value) ? value.join(', ') : String(value),
      ]);
      return `${formatTable(rows)}\n`;
    })
    .join('');
}

/** With the names of buildx's templates. */
export function usageFields(record: UsageRecord, now: number): Readonly<Record<string, unknown>> {
  return {
    ID: sanitizeLine(record.id),
    Parents: record.parents,
    CreatedAt: new Date(record.createdAt).toISOString(),
    Mutable: record.mutable,
    Reclaimable: record.reclaimable,
    InUse: record.inUse,
    Shared: record.shared,
    Size: formatBytes(record.bytes),
    Bytes: record.bytes,
    Description: sanitizeLine(record.description),
    UsageCount: record.uses,
    LastUsedAt: new Date(record.lastUsedAt).toISOString(),
    LastUsedSince: formatAgo(new Date(record.lastUsedAt).toISOString(), now),
    Type: record.type,
  };
}

function shortRecordId(id: string): string {
  return sanitizeLine(/^[0-9a-f]{64}/.test(id) ? id.slice(0, 12) + id.slice(64) : id);
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
