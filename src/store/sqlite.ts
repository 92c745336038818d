import { createRequire } from 'node:module';
import type * as Sqlite from 'node:sqlite';
import type { DatabaseSync } from 'node:sqlite';
import { schema, schemaVersion } from './state-file.ts';

// The only importer of node:sqlite.

const busyMilliseconds = 10_000;

// A static import of node:sqlite would load it in commands that never ask the index.
export function sqlite(): typeof Sqlite {
  return createRequire(import.meta.url)('node:sqlite') as typeof Sqlite;
}

/** The index in a file, with its tables. */
export function openFile(path: string): DatabaseSync {
  const { DatabaseSync: Database } = sqlite();
  const db = new Database(path, { timeout: busyMilliseconds });
  try {
    // Sound after a crash of the process; after one of the machine the last commits may be missing, which costs work only.
    db.exec('PRAGMA synchronous = NORMAL');
    if (versionOf(db) !== schemaVersion) create(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Several processes may come here at once: the first makes the tables, the others find them. */
function create(db: DatabaseSync): void {
  db.exec('PRAGMA journal_mode = WAL');
  db.exec(`BEGIN IMMEDIATE; ${schema} COMMIT;`);
}

export function versionOf(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.['user_version']);
}
