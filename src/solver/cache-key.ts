import type { OpKind } from '../graph/op.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOfJson } from '../oci/digest.ts';

/**
 * Key of a step across builds (K-9): kind, the op's own key and one key per input, in order. Over canonical JSON, so no two parts can run
 * together. golden/cache-keys.txt pins some; a change throws away every cache there is, and needs another version here.
 */
export function stepKey(kind: OpKind, opKey: Digest, inputs: readonly Digest[]): Digest {
  return digestOfJson(['tsbuild.cache/1', kind, opKey, inputs]);
}
