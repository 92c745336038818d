import { gunzipSync, gzipSync } from 'node:zlib';
import type { KeyComponents } from '../graph/key-components.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOf, isDigest } from '../oci/digest.ts';
import { BuildError } from '../util/build-error.ts';
import type { JsonValue } from '../util/canonical-json.ts';

/** BuildKit's cache config; the manifests of both of us have one. */
export const cacheConfigType = 'application/vnd.buildkit.cacheconfig.v0';
/** Our records: JSON, a blob of its own, since BuildKit reads no config above 1 MiB and its records have keys that only it can make. */
export const recordsType = 'application/vnd.tsbuild.cache.records.v1+gzip';
/** In the config of an image with an inline cache. */
export const inlineKey = 'tsbuild.cache.v1';
/** On the descriptor of a layer: its diffId, as containerd and BuildKit write it. */
export const diffIdAnnotation = 'containerd.io/uncompressed';

/** Bytes of the records' blob, and of what is in it. Explanations are left out of records that would be larger with them. */
export const recordsLimit: number = 32 * 1024 * 1024;
const unpackedLimit = 64 * 1024 * 1024;

/** A layer of a result, base to top, and when the step that made it ran (ISO 8601; null for layers of base images). */
export type StackItem = readonly [diffId: Digest, created: string | null];

/** What one step came to, for other machines. */
export interface RemoteRecord {
  readonly key: Digest;
  readonly opKey: Digest;
  readonly inputs: readonly Digest[];
  readonly kind: string;
  readonly name: string;
  readonly place: string | undefined;
  /** In the same document. */
  readonly components: Digest | undefined;
  readonly stack: readonly StackItem[];
}

export interface RecordsDocument {
  readonly records: readonly RemoteRecord[];
  readonly components: ReadonlyMap<Digest, KeyComponents>;
}

/** Throws IMAGE_INVALID: what others wrote is not what it should be. */
export function invalid(what: string): BuildError {
  return new BuildError('IMAGE_INVALID', `the cache is not well formed: ${what}`);
}

/** Throws UNSUPPORTED_HERE for more than anybody would read. */
export function encodeRecords({ records, components }: RecordsDocument): Uint8Array {
  const numbers = new Map<Digest, number>();
  const number = (diffId: Digest): number => {
    const known = numbers.get(diffId) ?? numbers.size;
    numbers.set(diffId, known);
    return known;
  };
  const rows = records.map(({ stack, ...record }) => ({
    ...record,
    stack: stack.map(([diffId, created]) => [number(diffId), created]),
  }));
  const plain = { version: 1, diffIds: [...numbers.keys()], records: rows };
  const explained = JSON.stringify({ ...plain, components: Object.fromEntries(components) });
  const json = [explained, JSON.stringify(plain)].find(({ length }) => length * 3 <= unpackedLimit);
  if (json === undefined) {
    throw new BuildError('UNSUPPORTED_HERE', `a cache of ${records.length} steps is too large`, {
      hint: 'export with mode=min',
    });
  }
  // gzip's header says no time and no system: equal records are equal bytes.
  return gzipSync(json);
}

/** Reads records of unknown origin. Throws IMAGE_INVALID. */
export function decodeRecords(bytes: Uint8Array): RecordsDocument {
  let value: unknown;
  try {
    value = JSON.parse(gunzipSync(bytes, { maxOutputLength: unpackedLimit }).toString());
  } catch {
    throw invalid('its records cannot be read');
  }
  const { version, diffIds, records, components } = fieldsOf(value);
  if (version !== 1) throw invalid('its records are of another version');
  const layers = list(diffIds).map(digest);
  return {
    records: list(records).map((record) => readRecord(record, layers)),
    components: readComponents(components),
  };
}

function readRecord(value: unknown, layers: readonly Digest[]): RemoteRecord {
  const { key, opKey, inputs, kind, name, place, components, stack } = fieldsOf(value);
  return {
    key: digest(key),
    opKey: digest(opKey),
    inputs: list(inputs).map(digest),
    kind: text(kind, 40),
    name: text(name, 100_000),
    place: place === undefined ? undefined : text(place, 1000),
    components: components === undefined ? undefined : digest(components),
    stack: list(stack).map((item) => {
      const [at, created] = list(item);
      const diffId = typeof at === 'number' ? layers[at] : undefined;
      if (diffId === undefined) throw invalid('a record names a layer that is not there');
      return [diffId, created === null ? null : time(created)];
    }),
  };
}

/** Explanations that cannot be read are none: nothing else depends on them. */
function readComponents(value: unknown): ReadonlyMap<Digest, KeyComponents> {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return new Map(
    entries.flatMap(([key, item]) => (isDigest(key) && isComponents(item) ? [[key, item] as const] : [])),
  );
}

function isComponents(value: unknown): value is KeyComponents {
  const found = objectOf(value);
  return (
    typeof found['text'] === 'string' &&
    [found['values'], found['mounts'], found['options']].every((part) => isRows(part, 2)) &&
    Array.isArray(found['inputs']) &&
    found['inputs'].every((input: unknown) => {
      const { name, key, image, files } = objectOf(input);
      const { reference, digest: of } = objectOf(image);
      const { list: rows, omitted } = objectOf(files);
      return (
        typeof name === 'string' &&
        (key === undefined || isDigestText(key)) &&
        (image === undefined || (typeof reference === 'string' && isDigestText(of))) &&
        (files === undefined || (isRows(rows, 4) && (omitted === undefined || typeof omitted === 'number')))
      );
    })
  );
}

function isRows(value: unknown, width: number): boolean {
  const isRow = (row: unknown): boolean =>
    Array.isArray(row) && row.length === width && row.every((item) => typeof item === 'string');
  return Array.isArray(value) && value.every(isRow);
}

function isDigestText(value: unknown): boolean {
  return typeof value === 'string' && isDigest(value);
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('an object is missing');
  return value as Readonly<Record<string, unknown>>;
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid('a list is missing');
  return value;
}

function digest(value: unknown): Digest {
  if (typeof value !== 'string' || !isDigest(value)) throw invalid('a digest is missing');
  return value;
}

function text(value: unknown, limit: number): string {
  if (typeof value !== 'string' || value.length > limit) throw invalid('a text is missing or too long');
  return value;
}

/** It gets into the image's config. */
function time(value: unknown): string {
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(value))
    throw invalid('a time is not well formed');
  return value;
}

/** The steps that made the layers of an image, for its config: the key of each, and how many layers the image has with it. */
export interface InlineStep {
  readonly key: Digest;
  readonly kind: string;
  readonly layers: number;
}

/** @param base How many layers are those of the base image. */
export function encodeInline(base: number, steps: readonly InlineStep[]): JsonValue {
  return { version: 1, base, steps: steps.map(({ key, kind, layers }) => [key, kind, layers]) };
}

/**
 * The records of an image's config: what its history and diff_ids say of each step. undefined: it has no inline cache. Throws
 * IMAGE_INVALID.
 */
export function decodeInline(config: unknown): readonly RemoteRecord[] | undefined {
  const { [inlineKey]: value, rootfs, history } = fieldsOf(config);
  if (value === undefined) return undefined;
  const { version, base, steps } = fieldsOf(value);
  if (version !== 1) throw invalid('the inline cache is of another version');
  const diffIds = list(fieldsOf(rootfs)['diff_ids']).map(digest);
  const made = list(history ?? [])
    .map(fieldsOf)
    .filter((entry) => entry['empty_layer'] !== true);
  if (made.length !== diffIds.length) throw invalid('the history of the image is not that of its layers');
  if (diffIds.length > 4096 || list(steps).length > diffIds.length) throw invalid('it has too many steps');
  const all = list(steps).map((step) => {
    const [key, kind, layers] = list(step);
    if (!Number.isSafeInteger(layers) || Number(layers) < 1 || Number(layers) > diffIds.length)
      throw invalid('a step names layers that are not there');
    return { key: digest(key), kind: text(kind, 40), layers: Number(layers) };
  });
  if (typeof base !== 'number') throw invalid('the number of its base layers is missing');
  return all.map(({ key, kind, layers }) => ({
    ...{ key, kind, inputs: [], place: undefined, components: undefined },
    // It is not known here; this one finds nothing.
    opKey: key,
    name: nameOf(made[layers - 1]?.['created_by']) ?? kind,
    stack: diffIds
      .slice(0, layers)
      .map((diffId, at): StackItem => [diffId, at < base ? null : time(made[at]?.['created'])]),
  }));
}

function nameOf(createdBy: unknown): string | undefined {
  return typeof createdBy === 'string' ? createdBy.slice(0, 100_000) : undefined;
}

/** A layer in a chain, as BuildKit's config has it: `parent` is the index of the one below, -1 for none. */
export interface ChainLayer {
  readonly blob: Digest;
  readonly parent: number;
}

/**
 * BuildKit's cache config of these chains of layers. Its `records` are empty: their digests are cache keys of BuildKit's own graph (LLB),
 * which cannot be told from ours.
 */
export function encodeCacheConfig(chains: readonly (readonly Descriptor[])[]): Uint8Array {
  const layers: ChainLayer[] = [];
  const known = new Map<string, number>();
  for (const chain of chains) {
    let parent = -1;
    for (const { digest: blob } of chain) {
      const id = `${parent} ${blob}`;
      const at = known.get(id) ?? layers.push({ blob, parent }) - 1;
      known.set(id, at);
      parent = at;
    }
  }
  return Buffer.from(JSON.stringify({ layers, records: [] }));
}

export function describe(bytes: Uint8Array, mediaType: string): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}
