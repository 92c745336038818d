import type { UsageRecord } from '../index.ts';
import { BuildError } from '../util/build-error.ts';
import { formatAgo, formatBytes, formatTable } from './format.ts';
import { suggestion } from './nearest.ts';
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

/** A template as of Go's with plain fields (`{{.ID}}\t{{.Size}}`), one line a record; `json` gives JSON. Throws USAGE. */
export function usageTemplate(template: string, records: readonly UsageRecord[], now: number): string {
  if (template === 'json')
    return records.map((record) => `${JSON.stringify(usageFields(record, now))}\n`).join('');
  const isTable = template.startsWith('table ');
  const text = (isTable ? template.slice('table '.length) : template)
    .replaceAll('\\t', '\t')
    .replaceAll('\\n', '\n');
  const head: string[] = [];
  const lines = records.map((record) => fill(text, usageFields(record, now)));
  if (isTable) head.push(text.replaceAll(/\{\{\s*\.(\w+)\s*\}\}/g, (_, name: string) => name.toUpperCase()));
  if (!isTable) return lines.map((line) => `${line}\n`).join('');
  return formatTable([...head, ...lines].map((line) => line.split('\t')));
}

function fill(text: string, fields: Readonly<Record<string, unknown>>): string {
  return text.replaceAll(/\{\{(.*?)\}\}/gs, (whole, inside: string) => {
    const name = /^\s*\.(\w+)\s*$/.exec(inside)?.[1];
    if (name === undefined || !Object.hasOwn(fields, name)) {
      throw new BuildError('USAGE', `\`${whole}\` in \`--format\` is not understood`, {
        hint: name === undefined ? 'fields are written like {{.ID}}' : suggestion(name, Object.keys(fields)),
      });
    }
    return String(fields[name]);
  });
}

function shortRecordId(id: string): string {
  return sanitizeLine(/^[0-9a-f]{64}/.test(id) ? id.slice(0, 12) + id.slice(64) : id);
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
