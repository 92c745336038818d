import type { Definition } from '../graph/definition.ts';
import type { Vertex } from '../graph/vertex.ts';
import type { Digest } from '../oci/digest.ts';

/** The target and all below it, in the definition's order (inputs first). */
export function needed(definition: Definition, target: Digest): readonly Vertex[] {
  const wanted = new Set([target]);
  const found: Vertex[] = [];
  for (const vertex of definition.vertices.toReversed()) {
    if (!wanted.delete(vertex.digest)) continue;
    found.push(vertex);
    for (const input of vertex.inputs) wanted.add(input);
  }
  for (const missing of wanted) throw new TypeError(`the definition has no vertex ${missing} before its use`);
  return found.toReversed();
}

/** What all promises of a map yield. */
export async function settled<T>(promises: ReadonlyMap<Digest, Promise<T>>): Promise<ReadonlyMap<Digest, T>> {
  const values = new Map<Digest, T>();
  for (const [digest, promise] of promises) values.set(digest, await promise);
  return values;
}
