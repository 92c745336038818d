import type { Digest } from '../oci/digest.ts';
import type { JsonValue } from '../util/canonical-json.ts';
import type { CacheRecord, DirectoryRecord, LayerRecord, RecordRow, StatRecord } from './state-record.ts';

/** A row of a table, by column. */
export type Row = Readonly<Record<string, unknown>>;

export function toCacheRecord(row: Row): CacheRecord {
  return {
    key: row['key'] as Digest,
    opKey: row['op_key'] as Digest,
    inputs: JSON.parse(String(row['inputs'])) as Digest[],
    kind: String(row['kind']),
    place: row['place'] === '' ? undefined : String(row['place']),
    name: String(row['name']),
    components: row['components'] === '' ? undefined : (row['components'] as Digest),
    result: JSON.parse(String(row['result'])) as JsonValue,
    createdAt: Number(row['created_at']),
    lastUsed: Number(row['last_used']),
    uses: Number(row['uses']),
  };
}

export function toRecordRow(row: Row): RecordRow {
  const result = String(row['result']);
  return {
    key: row['key'] as Digest,
    kind: String(row['kind']),
    name: String(row['name']),
    digests: digestsIn(result),
    // A layer with the time at which it was made: `["sha256:…","2026-…"`.
    made: [...result.matchAll(/\["(sha256:[a-f0-9]{64})","/g)].map(([, digest]) => digest as Digest),
    createdAt: Number(row['created_at']),
    lastUsed: Number(row['last_used']),
    uses: Number(row['uses']),
  };
}

/** All digests that a text has, in its order. */
export function digestsIn(text: string): readonly Digest[] {
  return (text.match(/sha256:[a-f0-9]{64}/g) ?? []) as Digest[];
}

export function toLayerRecord(row: Row): LayerRecord {
  return {
    diffId: row['diff_id'] as Digest,
    digest: row['digest'] as Digest,
    mediaType: String(row['media_type']),
    size: Number(row['size']),
  };
}

export function toDirectoryRecord(row: Row): DirectoryRecord {
  return {
    path: String(row['path']),
    names: String(row['names']),
    stamps: row['stamps'] as Uint8Array,
    digest: String(row['digest']),
  };
}

export function toStatRecord(row: Row): StatRecord {
  const number = (name: string): bigint => row[name] as bigint;
  return {
    path: String(row['path']),
    size: number('size'),
    mtimeNs: number('mtime_ns'),
    ctimeNs: number('ctime_ns'),
    ino: number('ino'),
    dev: number('dev'),
    digest: String(row['digest']),
  };
}
