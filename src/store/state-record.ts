import type { Digest } from '../oci/digest.ts';
import type { JsonValue } from '../util/canonical-json.ts';

/** What is remembered of a step that was done. Times are milliseconds since the epoch. */
export interface CacheRecord {
  readonly key: Digest;
  /** The op's own part of the key. */
  readonly opKey: Digest;
  /** The inputs' parts of the key. */
  readonly inputs: readonly Digest[];
  /** The kind of the op (`exec`, `copy`, ...), or of whatever else is remembered (`base`, `gate`). */
  readonly kind: string;
  /** Where the step stands, opaque: steps with one place are one instruction of one Dockerfile before and after an edit. */
  readonly place: string | undefined;
  /** What it was, for people: the step as progress shows it. */
  readonly name: string;
  /** What the key was made of is kept apart, under this digest: only explaining reads it. */
  readonly components: Digest | undefined;
  readonly result: JsonValue;
  readonly createdAt: number;
  /** To within an hour. */
  readonly lastUsed: number;
  /** Builds that it served, the one that made it among them; those within one hour count as one. */
  readonly uses: number;
}

export type NewCacheRecord = Omit<CacheRecord, 'place' | 'components' | 'createdAt' | 'lastUsed' | 'uses'> & {
  readonly place?: string | undefined;
  readonly components?: Digest | undefined;
};

/** A record, for accounting. */
export interface RecordRow extends Pick<
  CacheRecord,
  'key' | 'kind' | 'name' | 'createdAt' | 'lastUsed' | 'uses'
> {
  /** In the order in which the result names them. */
  readonly digests: readonly Digest[];
  /** Those of layers that a step has made. */
  readonly made: readonly Digest[];
}

/** A compressed form of a layer. One diffId may have several. */
export interface LayerRecord {
  readonly diffId: Digest;
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes of the compressed blob. */
  readonly size: number;
}

/** What accounting, pruning and checking ask of the index besides. */
export interface Upkeep {
  /** Bytes on disk of trees that never change, by their path in the store: an unpacked layer is measured once. */
  treeSizes(): ReadonlyMap<string, number>;
  /** Replaces all of them. A failure is none: it only costs later work. */
  putTreeSizes(sizes: ReadonlyMap<string, number>): void;
  /** How many files the stat cache knows. */
  statCount(): number;
  /** Forgets them all. */
  removeStats(): void;
  /** What is wrong with the file; undefined: it is sound. Reads all of it. */
  damage(): string | undefined;
  /** Gives the disk back what removed rows took; where others are at work, later. */
  compact(): void;
}

/** What a file was when its content was read; all numbers fit 64 bits. */
export interface StatRecord {
  readonly path: string;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
  readonly dev: bigint;
  readonly digest: string;
}

/** A whole directory of files that are known, so that those that have not changed are compared at once. Opaque to the store. */
export interface DirectoryRecord {
  /** A key that begins with the directory's path. */
  readonly path: string;
  readonly names: string;
  readonly stamps: Uint8Array;
  readonly digest: string;
}

/**
 * The index of a store. Everything is synchronous, and no transaction outlives a call. Shared by processes. Reads of a damaged or missing
 * index find nothing; writes throw STORE_FAILED (a read-only store) or DISK_FULL.
 */
export interface State {
  cacheRecord(key: Digest): CacheRecord | undefined;
  /** The latest record with this op: the same step with other inputs. */
  newestOfOp(opKey: Digest): CacheRecord | undefined;
  /** The latest records with this op, newest first. */
  recordsOfOp(opKey: Digest, limit: number): readonly CacheRecord[];
  /** The latest records that were made at a place, newest first. */
  recordsAtPlace(place: string, limit: number): readonly CacheRecord[];
  putCacheRecord(record: NewCacheRecord): void;
  /** Keeps what a record's `components` names; put it before the record. The same digest is kept once. */
  putComponents(digest: Digest, data: Uint8Array): void;
  components(digest: Digest): Uint8Array | undefined;
  /** Removes components that no record names; reads the whole table. */
  removeUnusedComponents(): void;
  deleteCacheRecord(key: Digest): void;
  /**
   * Notes that a record serves; written by `flush`, or at once after `protect`. False: it has been removed meanwhile, and what it names
   * may be gone.
   */
  used(record: CacheRecord): boolean;
  /** From now on each record that serves is marked at once, those that have served already among them: `prune` leaves them alone. */
  protect(): void;
  /** All compressed forms known of a layer, sorted by digest. Their blobs may be gone. */
  layers(diffId: Digest): readonly LayerRecord[];
  layerByDigest(digest: Digest): LayerRecord | undefined;
  putLayer(record: LayerRecord): void;
  deleteLayer(digest: Digest): void;
  stat(path: string): StatRecord | undefined;
  /** What `putStat` has noted since the last `flush`. */
  pendingStat(path: string): StatRecord | undefined;
  /** All that is known below a directory, at most `limit`: much quicker than one by one. What `flush` has still to write is not among it. */
  statsBelow(directory: string, limit: number): readonly StatRecord[];
  /** Written by `flush`. */
  putStat(record: StatRecord): void;
  /** Of a path and all below it. */
  directoriesBelow(path: string): readonly DirectoryRecord[];
  /** Kept until `flush`. */
  putDirectory(record: DirectoryRecord): void;
  /** All records, one at a time, without what only look-ups need. */
  recordRows(): Iterable<RecordRow>;
  /** All compressed forms of all layers. */
  layerRows(): Iterable<LayerRecord>;
  /** Does what `work` does with this index in one transaction; it must not wait for anything. */
  transaction(work: () => void): void;
  readonly upkeep: Upkeep;
  /** Begins anew with an empty one. */
  replace(): void;
  /** Every digest that cache records and layers name; some more than once. */
  digests(): Iterable<Digest>;
  /** Writes what was put off, in one transaction; nothing put off, nothing written. Never throws: it can only cost later work. */
  flush(): void;
  /** Flushes and closes. A later call opens it again. */
  close(): void;
}
