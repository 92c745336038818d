import type { NearRecord } from '../graph/cache-store.ts';
import type { Vertex } from '../graph/vertex.ts';
import type { Digest } from '../oci/digest.ts';

/** What is known of a step that has to run. */
export interface Miss {
  readonly vertex: Vertex;
  /** undefined: the step is run in every build. */
  readonly key: Digest | undefined;
  /** The inputs' parts of the key. */
  readonly inputs: readonly (Digest | undefined)[];
  /** An input was run anew because the cache was not to be used for it. */
  readonly tainted: boolean;
  readonly near: NearRecord | undefined;
  nameOf(vertex: Digest): string;
}

/** Why a step is run, in few words; undefined where it needs no reason (a build context). */
export function explainMiss(miss: Miss): string | undefined {
  const { vertex, key, near } = miss;
  if (vertex.meta.ignoreCache === true) return 'the cache is not used for it';
  if (key === undefined) return undefined;
  if (miss.tainted) return 'a step that it builds on was run anew';
  if (near === undefined) return 'no record of this step';
  if (near.key === key) return 'its recorded result is no longer there';
  const changed = vertex.inputs.filter((_, index) => near.inputs[index] !== miss.inputs[index]);
  if (changed.length === 0 || near.inputs.length !== vertex.inputs.length) return 'its inputs are other ones';
  return `its inputs changed: ${[...new Set(changed)].map((digest) => miss.nameOf(digest)).join(', ')}`;
}
