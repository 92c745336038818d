import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { KeyComponents } from '../graph/key-components.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOf } from '../oci/digest.ts';

/** What one record may say, unpacked: more is no explanation of ours. */
const unpackedLimit = 64 * 1024 * 1024;

/** Components as they are kept: named by their content, since both records of a step share them. */
export function packComponents(components: KeyComponents): {
  readonly digest: Digest;
  readonly data: Uint8Array;
} {
  const text = JSON.stringify(components);
  return { digest: digestOf(text), data: deflateRawSync(text, { level: 1 }) };
}

/** undefined for what is damaged: a miss without an explanation. */
export function unpackComponents(data: Uint8Array): KeyComponents | undefined {
  try {
    const value: unknown = JSON.parse(inflateRawSync(data, { maxOutputLength: unpackedLimit }).toString());
    return isComponents(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isComponents(value: unknown): value is KeyComponents {
  const { text, values, mounts, options, inputs } = (value ?? {}) as Partial<Record<string, unknown>>;
  return typeof text === 'string' && [values, mounts, options, inputs].every(Array.isArray);
}
