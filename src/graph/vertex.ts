import type { Digest } from '../oci/digest.ts';
import { digestOfJson } from '../oci/digest.ts';
import type { JsonValue } from '../util/canonical-json.ts';
import type { SourceLocation } from '../util/source.ts';
import type { Op } from './op.ts';

/** What does not change the result: names and places for people. */
export interface VertexMeta {
  /** As progress shows it: `[build 2/5] RUN make`. */
  readonly name: string;
  readonly source?: SourceLocation;
  /** `STAGE/K` of the instruction that it is of, the K-th of its stage that makes a step: what explaining compares across builds. */
  readonly place?: string;
  /** Variables that its words are made of, with their values; undefined: not set. Sorted by name. */
  readonly variables?: readonly (readonly [name: string, value: string | undefined])[];
  /** --no-cache: run even when a result is known. */
  readonly ignoreCache?: boolean;
}

/** A node of the build graph. `digest` covers `op` and `inputs`, never `meta`. */
export interface Vertex {
  readonly digest: Digest;
  readonly op: Op;
  readonly inputs: readonly Digest[];
  readonly meta: VertexMeta;
}

export function makeVertex(op: Op, inputs: readonly Digest[], meta: VertexMeta): Vertex {
  return { digest: digestOfJson({ op: op as unknown as JsonValue, inputs }), op, inputs, meta };
}
