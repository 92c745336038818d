import { BuildError } from '../util/build-error.ts';

/** A JSON object whose values nobody has looked at yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

const longest = 1024 * 1024;

export function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new BuildError('IMAGE_INVALID', `the image is not well formed: ${what}`);
}

/** Strict UTF-8, strict JSON, an object. */
export function parseObject(bytes: Uint8Array): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new BuildError('IMAGE_INVALID', 'the image is not well formed: a document is no JSON', { cause });
  }
  return object(value, 'the document');
}

export function object(value: unknown, where: string): JsonObject {
  check(typeof value === 'object' && value !== null && !Array.isArray(value), `${where} is no object`);
  return value as JsonObject;
}

export function array(value: unknown, where: string, limit: number): readonly unknown[] {
  check(Array.isArray(value), `${where} is no list`);
  check(value.length <= limit, `${where} has more than ${limit} items`);
  return value as readonly unknown[];
}

export function text(value: unknown, where: string): string {
  check(typeof value === 'string', `${where} is no text`);
  check(value.length <= longest, `${where} is too long`);
  return value;
}

export function count(value: unknown, where: string): number {
  check(typeof value === 'number' && Number.isSafeInteger(value) && value >= 0, `${where} is no size`);
  return value;
}

/** Reads the key when it is there; null counts as absent, because Go programs write it for empty values. */
export function optional<T>(
  value: JsonObject,
  key: string,
  read: (item: unknown, where: string) => T,
): T | undefined {
  const item = Object.hasOwn(value, key) ? value[key] : undefined;
  return item === undefined || item === null ? undefined : read(item, key);
}

/** A map of texts. `__proto__` becomes a key like any other. */
export function strings(value: unknown, where: string): Readonly<Record<string, string>> {
  return record(value, where, text);
}

export function record<T>(
  value: unknown,
  where: string,
  read: (item: unknown, where: string) => T,
): Readonly<Record<string, T>> {
  const entries = Object.entries(object(value, where));
  check(entries.length <= 10_000, `${where} has too many keys`);
  return Object.fromEntries(entries.map(([key, item]) => [key, read(item, `${where}.${key.slice(0, 50)}`)]));
}
