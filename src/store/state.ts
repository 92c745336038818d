import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Digest } from '../oci/digest.ts';
import type { BuildError } from '../util/build-error.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import type {
  CacheRecord,
  LayerRecord,
  NewCacheRecord,
  RecordRow,
  DirectoryRecord,
  StatRecord,
  State,
  Upkeep,
} from './state-record.ts';
import type { Row } from './state-rows.ts';
import { toCacheRecord, toDirectoryRecord, toLayerRecord, toRecordRow, toStatRecord } from './state-rows.ts';
import {
  fileOf,
  isDamage,
  isUnreadable,
  isWritable,
  newestGeneration,
  removeGenerations,
  schema,
  schemaVersion,
} from './state-file.ts';
import { openFile, sqlite, versionOf } from './sqlite.ts';
import { stateUpkeep } from './state-upkeep.ts';
import { storeError } from './store-error.ts';

// The index of the store. Blobs are the truth; all that is here can be made again, so a
// damaged index is replaced by an empty one, never an error.

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
  readonly upkeep: Upkeep = stateUpkeep({
    open: () => this.#open(),
    transaction: (work) => this.transaction(work),
    attempt: (work) => this.#attempt(work),
  });
  #generation = 0;
  #readOnly = false;
  #statements = new Map<string, StatementSync>();
  readonly #used = new Map<Digest, { readonly counts: boolean; readonly time: number }>();
  #protectedSince: number | undefined;
  readonly #stats = new Map<string, StatRecord>();
  readonly #directories = new Map<string, DirectoryRecord>();

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
      ...[key, opKey, canonicalJson(inputs), kind, place, name, canonicalJson(result)],
      ...[components, time, time],
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

  used({ key, lastUsed }: CacheRecord): boolean {
    const time = this.#now();
    const counts = time - lastUsed > touchMilliseconds;
    if (this.#protectedSince !== undefined) return this.#mark(key, counts, time);
    this.#used.set(key, { counts, time });
    return true;
  }

  protect(): void {
    if (this.#protectedSince !== undefined) return;
    const time = this.#now();
    this.#protectedSince = time;
    // Of now: what was used before this process could be seen would count as unused.
    for (const [key, { counts }] of this.#used) this.#mark(key, counts, time);
    this.#used.clear();
  }

  /** One statement, which no other process can come between. */
  #mark(key: Digest, counts: boolean, time: number): boolean {
    this.#open();
    if (this.#readOnly) return true;
    const sql = 'UPDATE cache_record SET last_used = ?, uses = uses + ? WHERE key = ?';
    return this.#attempt(() => this.#statement(sql).run(time, counts ? 1 : 0, key)).changes !== 0;
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

  directoriesBelow(path: string): readonly DirectoryRecord[] {
    const sql = 'SELECT * FROM directory WHERE path = ? OR (path > ? AND path < ?) LIMIT 100000';
    return this.#attempt(() => this.#statement(sql).all(path, `${path}/`, `${path}0`).map(toDirectoryRecord));
  }

  putDirectory(record: DirectoryRecord): void {
    this.#directories.set(record.path, record);
  }

  *digests(): IterableIterator<Digest> {
    for (const { digests } of this.recordRows()) yield* digests;
    for (const { digest } of this.layerRows()) yield digest;
  }

  recordRows(): Iterable<RecordRow> {
    const sql = 'SELECT key, kind, name, result, created_at, last_used, uses FROM cache_record';
    return this.#each(sql, toRecordRow);
  }

  layerRows(): Iterable<LayerRecord> {
    return this.#each('SELECT * FROM layer', toLayerRecord);
  }

  /** A table row by row. On a damaged index, it ends where that is met, and begins anew without it. */
  *#each<T>(sql: string, convert: (row: Row) => T): IterableIterator<T> {
    const rows = this.#attempt(() => this.#statement(sql).iterate());
    for (;;) {
      let value: T;
      try {
        const next = rows.next();
        if (next.done === true) return;
        value = convert(next.value);
      } catch (error) {
        if (!isDamage(error) || this.#readOnly || this.#db?.isTransaction === true)
          throw this.#failure(error);
        this.replace();
        return;
      }
      yield value;
    }
  }

  transaction(work: () => void): void {
    this.#attempt(() => {
      const db = this.#open();
      db.exec('BEGIN IMMEDIATE');
      try {
        work();
        db.exec('COMMIT');
      } catch (error) {
        this.#rollBack();
        throw error;
      }
    });
  }

  replace(): void {
    this.#closeDatabase();
    this.#generation += 1;
    removeGenerations(this.#root, this.#generation);
  }

  flush(): void {
    const used = [...this.#used].filter(([, { counts }]) => counts);
    this.#used.clear();
    if (used.length === 0 && this.#stats.size === 0 && this.#directories.size === 0) return;
    try {
      const db = this.#open();
      if (!this.#readOnly) {
        db.exec('BEGIN IMMEDIATE');
        const touch = this.#statement('UPDATE cache_record SET last_used = ?, uses = uses + 1 WHERE key = ?');
        for (const [key, { time }] of used) touch.run(time, key);
        const put = this.#statement('INSERT OR REPLACE INTO stat VALUES (?, ?, ?, ?, ?, ?, ?)');
        for (const { path, size, mtimeNs, ctimeNs, ino, dev, digest } of this.#stats.values()) {
          // A file from after 2262 is read each time: SQLite has no larger numbers.
          if (mtimeNs === BigInt.asIntN(64, mtimeNs)) put.run(path, size, mtimeNs, ctimeNs, ino, dev, digest);
        }
        const keep = this.#statement('INSERT OR REPLACE INTO directory VALUES (?, ?, ?, ?)');
        for (const { path, names, stamps, digest } of this.#directories.values())
          keep.run(path, names, stamps, digest);
        db.exec('COMMIT');
      }
    } catch {
      // All only spare work later: a full disk or a damaged index must not fail a build that has succeeded.
      this.#rollBack();
    }
    this.#stats.clear();
    this.#directories.clear();
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
      if (!isDamage(error) || this.#readOnly) throw this.#failure(error);
      this.#closeDatabase();
      this.#generation++;
    }
    try {
      removeGenerations(this.#root, this.#generation);
      return work();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #failure(error: unknown): BuildError {
    return storeError(error, 'using the index of the store', this.#root);
  }

  /** On a full disk this may fail as well: then the connection goes, and with it what it had begun. */
  #rollBack(): void {
    try {
      if (this.#db?.isTransaction === true) this.#db.exec('ROLLBACK');
    } catch {
      this.#closeDatabase();
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
