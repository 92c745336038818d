import type { Definition } from '../../graph/definition.ts';
import type { Vertex } from '../../graph/vertex.ts';
import type { Digest } from '../../oci/digest.ts';
import type { VertexEvent } from '../../progress/event.ts';
import type { BuildStep } from '../build-record.ts';
import { placeInFile } from '../explaining.ts';

type GrowingStep = { -readonly [K in keyof BuildStep]: BuildStep[K] };

/** Makes of events what is remembered of the steps. */
export class StepCollector {
  readonly #steps = new Map<string, GrowingStep>();
  #numbered = 0;
  #vertices: ReadonlyMap<string, Vertex> = new Map();

  /** Tells it the graph, for places. */
  planned({ vertices }: Definition): void {
    this.#vertices = new Map(vertices.map((vertex) => [vertex.digest, vertex]));
  }

  /** The step that an event is of, with what the event says. */
  event({ id, name, state, reason, miss, from, error, key }: VertexEvent): GrowingStep {
    let step = this.#steps.get(id);
    if (step === undefined) {
      step = { number: this.#numberFor(id), id: id as Digest, name, ...this.#placeOf(id), state };
      this.#steps.set(id, step);
    }
    step.state = state;
    if (reason !== undefined) step.reason = reason;
    if (miss !== undefined) step.miss = miss;
    if (key !== undefined) step.key = key;
    if (from !== undefined) step.from = from;
    if (error !== undefined) step.error = error;
    return step;
  }

  get(id: string): GrowingStep | undefined {
    return this.#steps.get(id);
  }

  /** In the order in which they became known: that of the graph. */
  get steps(): readonly BuildStep[] {
    return [...this.#steps.values()];
  }

  /** A build context is read in each build, and is no step of the Dockerfile. */
  #numberFor(id: string): number {
    return this.#vertices.get(id)?.op.kind === 'context' ? 0 : ++this.#numbered;
  }

  #placeOf(id: string): Pick<BuildStep, 'file' | 'line' | 'endLine' | 'place'> {
    const vertex = this.#vertices.get(id);
    if (vertex === undefined) return {};
    const place = placeInFile(vertex);
    const { source } = vertex.meta;
    return {
      ...(place === undefined ? {} : { place }),
      ...(source === undefined
        ? {}
        : { file: source.source.name, line: source.range.start.line, endLine: source.range.end.line }),
    };
  }
}
