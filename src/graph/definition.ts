import type { Digest } from '../oci/digest.ts';
import type { Vertex } from './vertex.ts';

/** A build graph: what the solver takes. Inputs stand before the vertices that use them; each digest stands once. */
export interface Definition {
  readonly vertices: readonly Vertex[];
  /** The vertex whose filesystem is the result; undefined: the empty filesystem. */
  readonly target: Digest | undefined;
}
