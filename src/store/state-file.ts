import { accessSync, constants, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

// The files of the index: their tables, their names, and what speaks for new ones.

export const schemaVersion = 3;
export const schema: string = `
  CREATE TABLE IF NOT EXISTS cache_record (
    key TEXT PRIMARY KEY, op_key TEXT NOT NULL, inputs TEXT NOT NULL, kind TEXT NOT NULL, place TEXT NOT NULL,
    name TEXT NOT NULL, result TEXT NOT NULL, components TEXT NOT NULL,
    created_at INTEGER NOT NULL, last_used INTEGER NOT NULL, uses INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS cache_record_by_op ON cache_record (op_key, created_at);
  CREATE INDEX IF NOT EXISTS cache_record_by_place ON cache_record (place, created_at);
  CREATE TABLE IF NOT EXISTS components (digest TEXT PRIMARY KEY, data BLOB NOT NULL);
  CREATE TABLE IF NOT EXISTS layer (
    diff_id TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY (diff_id, digest)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS layer_by_digest ON layer (digest);
  CREATE TABLE IF NOT EXISTS stat (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    ino INTEGER NOT NULL, dev INTEGER NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS directory (
    path TEXT PRIMARY KEY, names TEXT NOT NULL, stamps BLOB NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;
  PRAGMA user_version = ${schemaVersion};`;

/**
 * The number in the name grows with each rebuild: a process that still has the old file open may write and remove the files beside it,
 * which a new index of the same name would share. The schema's version is in the name so that two versions of tsbuild can share a store.
 */
export function fileOf(root: string, generation: number): string {
  return join(root, `state-v${schemaVersion}.${generation}.db`);
}

export function newestGeneration(root: string): number {
  let newest = 1;
  for (const name of readdirSync(root)) {
    const match = /^state-v(\d+)\.(\d{1,9})\.db$/.exec(name);
    if (Number(match?.[1]) === schemaVersion) newest = Math.max(newest, Number(match?.[2]));
  }
  return newest;
}

/** Removes damaged indexes. Processes that still have one open lose what they note in it, which is what it was worth. */
export function removeGenerations(root: string, before: number): void {
  for (let generation = Math.max(1, before - 3); generation < before; generation++) {
    for (const suffix of ['', '-wal', '-shm']) {
      try {
        rmSync(`${fileOf(root, generation)}${suffix}`, { force: true });
      } catch {
        // It is only rubbish.
      }
    }
  }
}

export function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** SQLITE_CORRUPT, SQLITE_NOTADB, a table or column that is missing, text that is no JSON. */
export function isDamage(error: unknown): boolean {
  if (error instanceof SyntaxError) return true;
  const { errcode, message } = error as { errcode?: number; message?: string };
  const primary = (errcode ?? 0) & 0xff;
  return (
    primary === 11 ||
    primary === 26 ||
    (primary === 1 && /no such|has no column|columns but/.test(message ?? ''))
  );
}

/** SQLITE_PERM, SQLITE_READONLY, SQLITE_CANTOPEN: the file, not the directory. */
export function isUnreadable(error: unknown): boolean {
  return [3, 8, 14].includes(((error as { errcode?: number }).errcode ?? 0) & 0xff);
}
