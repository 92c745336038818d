import type { Vertex } from '../graph/vertex.ts';
import type { Digest } from '../oci/digest.ts';
import type { Emit, VertexEvent } from '../progress/event.ts';
import type { MissReason } from '../progress/miss-reason.ts';
import { missText } from '../progress/miss-reason.ts';

/**
 * Reports the steps of one solve, and knows which of them nobody will ask for any more.
 * Invariant: a step ends at most once, and every step that was started ends.
 */
export class StepStates {
  readonly #emit: Emit;
  readonly #vertices = new Map<Digest, { readonly vertex: Vertex; readonly position: number }>();
  /** How many steps may still ask for the result of this one. */
  readonly #askers = new Map<Digest, number>();
  readonly #keys = new Map<Digest, Digest>();
  readonly #asked = new Set<Digest>();
  readonly #running = new Set<Digest>();
  readonly #ended = new Set<Digest>();

  /** `vertices` are those that the target needs, itself last; all are reported as waiting. */
  constructor(vertices: readonly Vertex[], emit: Emit) {
    this.#emit = emit;
    for (const [position, vertex] of vertices.entries()) {
      this.#vertices.set(vertex.digest, { vertex, position });
      for (const input of new Set(vertex.inputs)) this.#askers.set(input, (this.#askers.get(input) ?? 0) + 1);
    }
    for (const vertex of vertices) this.#report(vertex, 'waiting');
  }

  /** Tells it a step's cache key, for later reports. */
  identified(vertex: Vertex, key: Digest | undefined): void {
    if (key !== undefined) this.#keys.set(vertex.digest, key);
  }

  /** Somebody wants the result of this step: it will end by itself. */
  asked(digest: Digest): void {
    this.#asked.add(digest);
  }

  running(vertex: Vertex, miss: MissReason | undefined): void {
    this.#running.add(vertex.digest);
    this.#report(vertex, 'running', miss === undefined ? {} : { reason: missText(miss), miss });
  }

  done(vertex: Vertex): void {
    this.#end(vertex, 'done');
  }

  /** Its result was known. What it alone would have asked for is reported first: cached too, in order. */
  cached(vertex: Vertex, from: string | undefined): void {
    for (const unneeded of this.#unneeded(vertex)) this.#end(unneeded, 'cached');
    this.#end(vertex, 'cached', from === undefined ? {} : { from });
  }

  failed(vertex: Vertex, error: string): void {
    this.#end(vertex, 'failed', { error });
  }

  /** Reported only for what was running: the rest never began. */
  cancelled(vertex: Vertex): void {
    if (this.#running.has(vertex.digest)) this.#end(vertex, 'cancelled');
  }

  #unneeded(vertex: Vertex): readonly Vertex[] {
    const found: Digest[] = [];
    const waiting = [vertex];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      for (const input of new Set(next.inputs)) {
        const left = (this.#askers.get(input) ?? 0) - 1;
        this.#askers.set(input, left);
        const known = this.#vertices.get(input);
        if (left > 0 || this.#asked.has(input) || known === undefined) continue;
        found.push(input);
        waiting.push(known.vertex);
      }
    }
    return found
      .map((digest) => this.#vertices.get(digest))
      .filter((known) => known !== undefined)
      .toSorted((a, b) => a.position - b.position)
      .map(({ vertex: unneeded }) => unneeded);
  }

  #end(
    vertex: Vertex,
    state: 'done' | 'cached' | 'failed' | 'cancelled',
    more: { readonly error?: string; readonly from?: string } = {},
  ): void {
    if (this.#ended.has(vertex.digest)) return;
    this.#ended.add(vertex.digest);
    this.#report(vertex, state, more);
  }

  #report(
    { digest, meta, inputs }: Vertex,
    state: 'waiting' | 'running' | 'done' | 'cached' | 'failed' | 'cancelled',
    more: Pick<VertexEvent, 'reason' | 'miss' | 'error' | 'from'> = {},
  ): void {
    const key = this.#keys.get(digest);
    this.#emit({
      ...{ type: 'vertex', id: digest, name: meta.name, inputs, state, time: Date.now() },
      ...(key === undefined ? {} : { key }),
      ...more,
    });
  }
}
