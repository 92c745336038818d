/** Plain data that JSON can hold. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined };

/**
 * JSON with sorted keys and no white space, so that equal values have equal bytes (the idea of RFC 8785).
 * Keys whose value is undefined are left out. Throws a TypeError for numbers that are not finite.
 */
export function canonicalJson(value: JsonValue): string {
  if (typeof value !== 'object' || value === null) {
    if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`no JSON for ${value}`);
    return JSON.stringify(value);
  }
  let out = '';
  if (Array.isArray(value)) {
    for (const item of value as readonly JsonValue[]) out += `${out === '' ? '' : ','}${canonicalJson(item)}`;
    return `[${out}]`;
  }
  const record = value as { readonly [key: string]: JsonValue | undefined };
  for (const key of Object.keys(record).toSorted()) {
    const item = record[key];
    if (item !== undefined) out += `${out === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(item)}`;
  }
  return `{${out}}`;
}
