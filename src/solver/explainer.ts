import type { CacheStore, NearRecord } from '../graph/cache-store.ts';
import type { KeyComponents } from '../graph/key-components.ts';
import type { Vertex } from '../graph/vertex.ts';
import type { Digest } from '../oci/digest.ts';
import type { MissReason } from '../progress/miss-reason.ts';
import { componentsOf, instructionOf } from './components.ts';
import { explainMiss } from './explain.ts';
import type { Step } from './step.ts';

/** How the steps of a solve are told from those of other builds; without it they are compared with steps of the same op alone. */
export interface ExplainOptions {
  /** Where a step stands, for records: the same for one instruction of one Dockerfile. */
  placeOf?(vertex: Vertex): string | undefined;
  /** The records that the last build of this Dockerfile had: for the step at this place, and for the same step wherever it was. */
  previous?(vertex: Vertex, op: Digest): PreviousRecords;
  /** Takes secrets out of what is recorded and told. */
  conceal?(components: KeyComponents): KeyComponents;
}

export interface PreviousRecords {
  readonly here: NearRecord | undefined;
  readonly sameOp: NearRecord | undefined;
}

/** Why a step is run, and what its record is to say for later explanations. */
export interface Explanation {
  readonly reason: MissReason | undefined;
  /** Made once, when first asked for; undefined when it cannot be made. */
  readonly components: () => Promise<KeyComponents | undefined>;
}

/** The same for the same instruction of two builds. The op alone is not enough: that of a COPY does not say what is copied. */
export function stepId(op: Digest, name: string): string {
  return `${op} ${instructionOf(name)}`;
}

/** Finds out why steps are run. Reading files for it waits until there is a record to compare with, or the step is recorded. */
export class Explainer<R> {
  readonly #cache: CacheStore<R>;
  readonly #options: ExplainOptions;
  readonly #vertexOf: (digest: Digest) => Vertex;
  readonly #signal: AbortSignal;
  readonly #steps = new Set<string>();
  readonly #misses = new Map<Digest, MissReason>();

  constructor(
    options: ExplainOptions,
    about: {
      readonly cache: CacheStore<R>;
      readonly vertexOf: (digest: Digest) => Vertex;
      readonly signal: AbortSignal;
    },
  ) {
    this.#options = options;
    this.#cache = about.cache;
    this.#vertexOf = about.vertexOf;
    this.#signal = about.signal;
  }

  /** Tells it a step of this build, with its op's own key. */
  identified({ meta }: Vertex, op: Digest | undefined): void {
    if (op !== undefined) this.#steps.add(stepId(op, meta.name));
  }

  placeOf(vertex: Vertex): string | undefined {
    return this.#options.placeOf?.(vertex);
  }

  components(step: Step<R | undefined>): Explanation['components'] {
    let made: Promise<KeyComponents | undefined> | undefined;
    const make = (): Promise<KeyComponents | undefined> =>
      componentsOf(step, {
        vertexOf: this.#vertexOf,
        signal: this.#signal,
        conceal: this.#options.conceal?.bind(this.#options),
        // What is wrong with a file is told where it is read for the step itself.
      }).catch(() => undefined);
    return () => (made ??= make());
  }

  /** @param near The latest record of the same op. */
  async explain(step: Step<R | undefined>, near: NearRecord | undefined): Promise<Explanation> {
    const components = this.components(step);
    const reason = await this.#reason(step, near, components);
    if (reason !== undefined) this.#misses.set(step.vertex.digest, reason);
    return { reason, components };
  }

  async #reason(
    { vertex, identity }: Step<R | undefined>,
    near: NearRecord | undefined,
    components: Explanation['components'],
  ): Promise<MissReason | undefined> {
    const about = {
      ...{ vertex, identity },
      missOf: (digest: Digest) => this.#misses.get(digest),
      nameOf: (digest: Digest) => this.#vertexOf(digest).meta.name,
    };
    const { op } = identity;
    const none = { previous: undefined, atPlace: [], sameOp: near, isInBuild: () => false };
    if (vertex.meta.ignoreCache === true || identity.key === undefined)
      return explainMiss({ ...about, records: none, components: undefined });
    const place = this.placeOf(vertex);
    const records = {
      previous: op === undefined ? undefined : this.#options.previous?.(vertex, op),
      atPlace: place === undefined ? [] : await this.#cache.atPlace(place),
      sameOp: near,
      isInBuild: (record: NearRecord) => this.#steps.has(stepId(record.opKey, record.name)),
    };
    const known = [records.previous?.here, near, ...records.atPlace].some((record) => record !== undefined);
    return explainMiss({ ...about, records, components: known ? await components() : undefined });
  }
}
