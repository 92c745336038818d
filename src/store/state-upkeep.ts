import type { DatabaseSync } from 'node:sqlite';
import type { Upkeep } from './state-record.ts';

/** Of an index that opens itself when it is asked something. */
export function stateUpkeep(index: {
  readonly open: () => DatabaseSync;
  readonly transaction: (work: () => void) => void;
  readonly attempt: <T>(work: () => T) => T;
}): Upkeep {
  return {
    treeSizes: () => {
      try {
        const rows = index.open().prepare('SELECT path, bytes FROM tree_size').all();
        return new Map(rows.map(({ path, bytes }) => [String(path), Number(bytes)]));
      } catch {
        return new Map();
      }
    },
    putTreeSizes: (sizes) => {
      try {
        index.transaction(() => {
          const db = index.open();
          // No part of the schema: an index of this version may have been made without it.
          db.exec('CREATE TABLE IF NOT EXISTS tree_size (path TEXT PRIMARY KEY, bytes INTEGER NOT NULL)');
          db.exec('DELETE FROM tree_size');
          const put = db.prepare('INSERT INTO tree_size VALUES (?, ?)');
          for (const [path, bytes] of sizes) put.run(path, bytes);
        });
      } catch {
        // Measured again next time.
      }
    },
    statCount: () =>
      index.attempt(() => Number(index.open().prepare('SELECT count(*) AS n FROM stat').get()?.['n'])),
    removeStats: () => index.attempt(() => index.open().exec('DELETE FROM stat; DELETE FROM directory')),
    compact: () => {
      try {
        index.open().exec('VACUUM; PRAGMA wal_checkpoint(TRUNCATE)');
      } catch {
        // Somebody reads: the pages are used again anyway.
      }
    },
    damage: () => {
      try {
        const said = String(index.open().prepare('PRAGMA quick_check(1)').get()?.['quick_check']);
        return said === 'ok' ? undefined : said;
      } catch (error) {
        return (error as Error).message;
      }
    },
  };
}
