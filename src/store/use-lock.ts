import { closeSync, openSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sqlite } from './sqlite.ts';
import { storeError } from './store-error.ts';

/**
 * Who reads the store, told to whoever wants to remove from it: `<root>/in-use`, an empty file under a lock of the kernel that many may
 * share. It is SQLite that locks: that costs a cached build a tenth of what loading the system calls would, and works on read-only media too.
 * A lock ends with its process, however that ends.
 */
export interface UseLock {
  /** Shares the lock until `release`; waits while something is being removed. Where the store's owner is another there is no lock. */
  hold(): void;
  release(): void;
  /** Does something short while nothing is being removed. */
  during<T>(work: () => T): T;
  /** The lock for oneself alone; undefined when others still hold it after `milliseconds`. Throws STORE_FAILED. */
  alone(milliseconds: number): Promise<Disposable | undefined>;
}

type Database = InstanceType<ReturnType<typeof sqlite>['DatabaseSync']>;

/** Removing takes moments: names change under the lock, what they stood for is removed after it. */
const waitMilliseconds = 60_000;

export function openUseLock(root: string): UseLock {
  const path = join(root, 'in-use');
  let shared: Database | undefined;
  let failed = false;
  let held = false;
  let isAlone = false;

  const open = (readOnly: boolean): Database => {
    const { DatabaseSync } = sqlite();
    try {
      return new DatabaseSync(path, { readOnly, timeout: readOnly ? waitMilliseconds : 0 });
    } catch (error) {
      if ((error as { errcode?: number }).errcode === undefined) throw error;
      // A store made by an older version, or by another program.
      closeSync(openSync(path, 'a', 0o644));
      return new DatabaseSync(path, { readOnly, timeout: readOnly ? waitMilliseconds : 0 });
    }
  };
  const begin = (): boolean => {
    if (failed) return false;
    try {
      shared ??= open(true);
      shared.exec('BEGIN; SELECT 1 FROM sqlite_schema');
      return true;
    } catch {
      // Whoever may not even read the file cannot be in the way of its owner.
      failed = true;
      close(shared);
      return false;
    }
  };
  const end = (): void => shared?.exec('COMMIT');
  return {
    hold: () => {
      if (!held) held = begin();
    },
    release: () => {
      if (held) end();
      held = false;
      close(shared);
      shared = undefined;
    },
    during: (work) => {
      if (held || isAlone || !begin()) return work();
      try {
        return work();
      } finally {
        end();
      }
    },
    alone: async (milliseconds) => {
      const until = performance.now() + milliseconds;
      const database = attempt(() => open(false));
      try {
        // No file of its own for what is never written.
        attempt(() => database.exec('PRAGMA journal_mode = MEMORY'));
        while (!attempt(() => lockExclusive(database))) {
          if (performance.now() > until) {
            close(database);
            return undefined;
          }
          await sleep(20);
        }
      } catch (error) {
        close(database);
        throw error;
      }
      isAlone = true;
      return {
        [Symbol.dispose]: () => {
          isAlone = false;
          close(database);
        },
      };
    },
  };
}

const sqliteBusy = 5;

function lockExclusive(database: Database): boolean {
  try {
    database.exec('BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    if ((error as { errcode?: number }).errcode === sqliteBusy) return false;
    throw error;
  }
}

function attempt<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw storeError(error, 'locking the store');
  }
}

function close(database: Database | undefined): void {
  try {
    database?.close();
  } catch {
    // Closed already.
  }
}

/** Marks a file or directory of the store as used now, by its mtime; false when it is not there. What was marked is not removed under the user. */
export function markUsed(path: string, lock: Pick<UseLock, 'during'>): boolean {
  return lock.during(() => {
    try {
      const now = Date.now() / 1000;
      utimesSync(path, now, now);
      return true;
    } catch (error) {
      // Of another user, or on read-only media: nobody removes it either.
      return (error as NodeJS.ErrnoException).code !== 'ENOENT';
    }
  });
}
