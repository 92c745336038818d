import { hash } from 'node:crypto';
import { BuildError } from '../util/build-error.ts';
import type { JsonValue } from '../util/canonical-json.ts';
import { canonicalJson } from '../util/canonical-json.ts';

/** `sha256:` and 64 lower-case hex digits: OCI image-spec, descriptor.md "Digests". Only sha256 is accepted. */
export type Digest = `sha256:${string}`;

const pattern = /^sha256:[a-f0-9]{64}$/;

export function isDigest(text: string): text is Digest {
  return pattern.test(text);
}

/** Checks a text from outside before it can become a digest (and so a file name). Throws IMAGE_INVALID. */
export function parseDigest(text: unknown): Digest {
  if (typeof text === 'string' && isDigest(text)) return text;
  throw new BuildError('IMAGE_INVALID', `not a sha256 digest: ${JSON.stringify(text)?.slice(0, 100)}`);
}

/** The hex part. */
export function digestHex(digest: Digest): string {
  return digest.slice(7);
}

export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${hash('sha256', bytes, 'hex')}`;
}

/** Digest of a value's canonical JSON: the only way keys are joined from parts, so no two parts can run together. */
export function digestOfJson(value: JsonValue): Digest {
  return digestOf(canonicalJson(value));
}
