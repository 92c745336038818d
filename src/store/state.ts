import { accessSync, constants, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type * as Sqlite from 'node:sqlite';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Digest } from '../oci/digest.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import type { CacheRecord, LayerRecord, NewCacheRecord, StatRecord, State } from './state-record.ts';
import type { Row } from './state-rows.ts';
import { toCacheRecord, toLayerRecord, toStatRecord } from './state-rows.ts';
import { storeError } from './store-error.ts';

// The only importer of node:sqlite: the index of the store. Blobs are the truth; all that is here can be made again, so a
// damaged index is replaced by an empty one, never an error.

const schemaVersion = 2;
const schema = `
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
  PRAGMA user_version = ${schemaVersion};`;

const busyMilliseconds = 10_000;
/** `last_used` is not worth a write when it is this fresh: builds in a row write nothing. */
const touchMilliseconds = 3_600_000;

/** The index of the store at `root`, which must exist. Opens nothing before the first question. */
export function openState(root: string, now: () => number = Date.now): State {
  return new SqliteState(root, now);
}

class SqliteState implements State {
  readonly #root: string;
  readonly #now: () => number;
  #db: DatabaseSync | undefined;
  #generation = 0;
  #readOnly = false;
  #statements = new Map<string, StatementSync>();
  readonly #used = new Map<Digest, number>();
  readonly #stats = new Map<string, StatRecord>();

  constructor(root: string, now: () => number) {
    this.#root = root;
    this.#now = now;
  }

  cacheRecord(key: Digest): CacheRecord | undefined {
    return this.#get('SELECT * FROM cache_record WHERE key = ?', key, toCacheRecord);
  }

  newestOfOp(opKey: Digest): CacheRecord | undefined {
    const sql = 'SELECT * FROM cache_record WHERE op_key = ? ORDER BY created_at DESC LIMIT 1';
    return this.#get(sql, opKey, toCacheRecord);
  }

  recordsOfOp(opKey: Digest, limit: number): readonly CacheRecord[] {
    const sql = 'SELECT * FROM cache_record WHERE op_key = ? ORDER BY created_at DESC LIMIT ?';
    return this.#attempt(() => this.#statement(sql).all(opKey, limit).map(toCacheRecord));
  }

  recordsAtPlace(place: string, limit: number): readonly CacheRecord[] {
    if (place === '') return [];
    const sql = 'SELECT * FROM cache_record WHERE place = ? ORDER BY created_at DESC LIMIT ?';
    return this.#attempt(() => this.#statement(sql).all(place, limit).map(toCacheRecord));
  }

  putCacheRecord(record: NewCacheRecord): void {
    const time = this.#now();
    const { key, opKey, inputs, kind, place = '', name, result, components = '' } = record;
    this.#run(
      'INSERT OR REPLACE INTO cache_record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)',
      ...[
        key,
        opKey,
        canonicalJson(inputs),
        kind,
        place,
        name,
        canonicalJson(result),
        components,
        time,
        time,
      ],
    );
  }

  putComponents(digest: Digest, data: Uint8Array): void {
    this.#attempt(() => this.#statement('INSERT OR IGNORE INTO components VALUES (?, ?)').run(digest, data));
  }

  components(digest: Digest): Uint8Array | undefined {
    return this.#get(
      'SELECT data FROM components WHERE digest = ?',
      digest,
      ({ data }) => data as Uint8Array,
    );
  }

  removeUnusedComponents(): void {
    this.#run('DELETE FROM components WHERE digest NOT IN (SELECT components FROM cache_record)');
  }

  deleteCacheRecord(key: Digest): void {
    this.#run('DELETE FROM cache_record WHERE key = ?', key);
  }

  used(record: CacheRecord): void {
    const time = this.#now();
    if (time - record.lastUsed > touchMilliseconds) this.#used.set(record.key, time);
  }

  layers(diffId: Digest): readonly LayerRecord[] {
    return this.#attempt(() =>
      this.#statement('SELECT * FROM layer WHERE diff_id = ? ORDER BY digest').all(diffId).map(toLayerRecord),
    );
  }

  layerByDigest(digest: Digest): LayerRecord | undefined {
    return this.#get('SELECT * FROM layer WHERE digest = ? LIMIT 1', digest, toLayerRecord);
  }

  putLayer(record: LayerRecord): void {
    const { diffId, digest, mediaType, size } = record;
    this.#run('INSERT OR REPLACE INTO layer VALUES (?, ?, ?, ?)', diffId, digest, mediaType, size);
  }

  deleteLayer(digest: Digest): void {
    this.#run('DELETE FROM layer WHERE digest = ?', digest);
  }

  stat(path: string): StatRecord | undefined {
    const pending = this.#stats.get(path);
    if (pending !== undefined) return pending;
    return this.#attempt(() => {
      const statement = this.#statement('SELECT * FROM stat WHERE path = ?');
      statement.setReadBigInts(true);
      const row = statement.get(path);
      return row === undefined ? undefined : toStatRecord(row);
    });
  }

  pendingStat(path: string): StatRecord | undefined {
    return this.#stats.get(path);
  }

  statsBelow(directory: string, limit: number): readonly StatRecord[] {
    return this.#attempt(() => {
      const statement = this.#statement('SELECT * FROM stat WHERE path > ? AND path < ? LIMIT ?');
      statement.setReadBigInts(true);
      // `0` is the character after `/`.
      return statement.all(`${directory}/`, `${directory}0`, limit).map(toStatRecord);
    });
  }

  putStat(record: StatRecord): void {
    this.#stats.set(record.path, record);
  }

  *digests(): IterableIterator<Digest> {
    const texts = this.#attempt(() => [
      ...this.#statement('SELECT result AS text FROM cache_record').all(),
      ...this.#statement('SELECT digest AS text FROM layer').all(),
    ]);
    for (const { text } of texts) {
      for (const [digest] of String(text).matchAll(/sha256:[a-f0-9]{64}/g)) yield digest as Digest;
    }
  }

  flush(): void {
    if (this.#used.size === 0 && this.#stats.size === 0) return;
    try {
      const db = this.#open();
      if (!this.#readOnly) {
        db.exec('BEGIN IMMEDIATE');
        const touch = this.#statement('UPDATE cache_record SET last_used = ?, uses = uses + 1 WHERE key = ?');
        for (const [key, time] of this.#used) touch.run(time, key);
        const put = this.#statement('INSERT OR REPLACE INTO stat VALUES (?, ?, ?, ?, ?, ?, ?)');
        for (const { path, size, mtimeNs, ctimeNs, ino, dev, digest } of this.#stats.values()) {
          // A file from after 2262 is read each time: SQLite has no larger numbers.
          if (mtimeNs === BigInt.asIntN(64, mtimeNs)) put.run(path, size, mtimeNs, ctimeNs, ino, dev, digest);
        }
        db.exec('COMMIT');
      }
    } catch {
      // Both only spare work later: a full disk or a damaged index must not fail a build that has succeeded.
      if (this.#db?.isTransaction === true) this.#db.exec('ROLLBACK');
    }
    this.#used.clear();
    this.#stats.clear();
  }

  close(): void {
    this.flush();
    this.#closeDatabase();
  }

  #get<T>(sql: string, key: string, convert: (row: Row) => T): T | undefined {
    return this.#attempt(() => {
      const row = this.#statement(sql).get(key);
      return row === undefined ? undefined : convert(row);
    });
  }

  #run(sql: string, ...values: (string | number)[]): void {
    this.#attempt(() => this.#statement(sql).run(...values));
  }

  #statement(sql: string): StatementSync {
    const db = this.#open();
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Does it; on a damaged index once more, with a new one. */
  #attempt<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!isDamage(error) || this.#readOnly) throw storeError(error, 'using the index of the store');
      this.#closeDatabase();
      this.#generation++;
    }
    try {
      removeGenerations(this.#root, this.#generation);
      return work();
    } catch (error) {
      throw storeError(error, 'using the index of the store');
    }
  }

  #closeDatabase(): void {
    this.#statements = new Map();
    const db = this.#db;
    this.#db = undefined;
    try {
      db?.close();
    } catch {
      // A damaged file may fail in the last checkpoint; nothing in it is missed.
    }
  }

  #open(): DatabaseSync {
    if (this.#db !== undefined) return this.#db;
    if (this.#generation === 0) this.#generation = newestGeneration(this.#root);
    const first = this.#generation;
    for (; this.#generation < first + 3; this.#generation++) {
      try {
        this.#db = openFile(fileOf(this.#root, this.#generation));
        if (this.#generation > first) removeGenerations(this.#root, this.#generation);
        return this.#db;
      } catch (error) {
        if (!isWritable(this.#root)) return this.#openReadOnly(first);
        if (!isDamage(error) && !isUnreadable(error)) throw error;
      }
    }
    return this.#openReadOnly(first);
  }

  /** The store of somebody else, or on read-only media: what the index says is used as it is; without one, nothing is known. */
  #openReadOnly(generation: number): DatabaseSync {
    this.#readOnly = true;
    this.#generation = generation;
    const { DatabaseSync: Database } = sqlite();
    try {
      const url = new URL(`file:///?immutable=1&mode=ro`);
      url.pathname = fileOf(this.#root, generation);
      this.#db = new Database(url);
      if (versionOf(this.#db) === schemaVersion) return this.#db;
    } catch {
      // Not there, or damaged: as if empty.
    }
    this.#db = new Database(':memory:');
    this.#db.exec(schema);
    this.#db.exec('PRAGMA query_only = ON');
    return this.#db;
  }
}

/**
 * The number in the name grows with each rebuild: a process that still has the old file open may write and remove the files beside it,
 * which a new index of the same name would share. The schema's version is in the name so that two versions of tsbuild can share a store.
 */
function fileOf(root: string, generation: number): string {
  return join(root, `state-v${schemaVersion}.${generation}.db`);
}

function newestGeneration(root: string): number {
  let newest = 1;
  for (const name of readdirSync(root)) {
    const match = /^state-v(\d+)\.(\d{1,9})\.db$/.exec(name);
    if (Number(match?.[1]) === schemaVersion) newest = Math.max(newest, Number(match?.[2]));
  }
  return newest;
}

/** Removes damaged indexes. Processes that still have one open lose what they note in it, which is what it was worth. */
function removeGenerations(root: string, before: number): void {
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

// A static import of node:sqlite would load it in commands that never ask the index.
function sqlite(): typeof Sqlite {
  return createRequire(import.meta.url)('node:sqlite') as typeof Sqlite;
}

function openFile(path: string): DatabaseSync {
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

function versionOf(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.['user_version']);
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** SQLITE_CORRUPT, SQLITE_NOTADB, a table or column that is missing, text that is no JSON. */
function isDamage(error: unknown): boolean {
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
function isUnreadable(error: unknown): boolean {
  return [3, 8, 14].includes(((error as { errcode?: number }).errcode ?? 0) & 0xff);
}
