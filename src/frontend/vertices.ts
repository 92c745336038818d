import type { Definition } from '../graph/definition.ts';
import type { Op } from '../graph/op.ts';
import type { Vertex, VertexMeta } from '../graph/vertex.ts';
import { makeVertex } from '../graph/vertex.ts';
import type { Digest } from '../oci/digest.ts';

/** The vertices made so far; equal ones are kept once. */
export interface VertexSet {
  /** Adds a vertex. `rank` decides whose name an equal vertex gets, whatever order stages finish in: the lowest wins. */
  readonly add: (op: Op, inputs: readonly Digest[], about: VertexMeta & { readonly rank: number }) => Digest;
  /** The part of the graph that `target` needs, inputs first; its order depends on nothing but the graph. */
  readonly definition: (target: Digest | undefined) => Definition;
}

export function vertexSet(): VertexSet {
  const known = new Map<Digest, { vertex: Vertex; rank: number }>();
  return {
    add(op, inputs, { rank, ...meta }) {
      const vertex = makeVertex(op, inputs, meta);
      const before = known.get(vertex.digest);
      const winner = before === undefined || rank < before.rank ? { vertex, rank } : before;
      const ignoreCache = before?.vertex.meta.ignoreCache === true || meta.ignoreCache === true;
      known.set(vertex.digest, {
        rank: winner.rank,
        vertex: ignoreCache
          ? { ...winner.vertex, meta: { ...winner.vertex.meta, ignoreCache } }
          : winner.vertex,
      });
      return vertex.digest;
    },
    definition(target) {
      const ordered: Vertex[] = [];
      const seen = new Set<Digest>();
      const open: { digest: Digest; left: boolean }[] =
        target === undefined ? [] : [{ digest: target, left: false }];
      for (let item = open.pop(); item !== undefined; item = open.pop()) {
        const vertex = known.get(item.digest)?.vertex;
        if (vertex === undefined) continue;
        if (item.left) ordered.push(vertex);
        else if (!seen.has(item.digest)) {
          seen.add(item.digest);
          open.push({ digest: item.digest, left: true });
          for (const digest of vertex.inputs.toReversed()) open.push({ digest, left: false });
        }
      }
      return { vertices: ordered, target };
    },
  };
}
