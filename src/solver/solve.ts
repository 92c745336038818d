import pLimit from 'p-limit';
import type { LimitFunction } from 'p-limit';
import type { CacheStore, Known, NearRecord } from '../graph/cache-store.ts';
import type { Definition } from '../graph/definition.ts';
import type { OpKind } from '../graph/op.ts';
import type { Vertex } from '../graph/vertex.ts';
import type { Digest } from '../oci/digest.ts';
import type { Emit } from '../progress/event.ts';
import type { ExplainOptions, Explanation } from './explainer.ts';
import { Explainer } from './explainer.ts';
import { needed, settled } from './needed.ts';
import { interrupted, locatedError, messageOf } from './outcome.ts';
import type { OpRunner, OpRunners } from './runner.ts';
import { StepStates } from './step-states.ts';
import type { Step, StepIdentity } from './step.ts';
import { anyBase, keyOf, keysOf, onInputs, selected, sources } from './step.ts';

export interface SolveOptions<R> {
  readonly runners: OpRunners<R>;
  readonly cache: CacheStore<R>;
  /** Steps that may run at a time; at least one does. */
  readonly parallelism: number;
  readonly signal: AbortSignal;
  readonly emit: Emit;
  /** Default: the definition's. */
  readonly target?: Digest | undefined;
  readonly explain?: ExplainOptions | undefined;
  /** Runs and records nothing but what keys are made of (contexts, images): a step that would be run is told as running, with its reason. */
  readonly dry?: boolean | undefined;
  /** Told of each result as soon as it is known, from wherever; of what a hit made needless nothing is told. Must not throw. */
  readonly onResult?: ((vertex: Digest, result: R) => void) | undefined;
}

export interface Solved<R> {
  /** Of the target; undefined when there is none. */
  readonly result: R | undefined;
  /** Cache keys by vertex, of all that the target needs and that have one. */
  readonly keys: ReadonlyMap<Digest, Digest>;
  /** By vertex, of those that were looked up or run; what a hit made needless is not there. */
  readonly results: ReadonlyMap<Digest, R>;
}

/**
 * Yields the target's result, running as little as possible: keys first, then the look-up from the target down, then what is missing, side
 * by side. Build contexts (ops without a key) are always run, since the keys of their consumers need them.
 *
 * The first failure stops the rest and is what this rejects with: a BuildError at the step's line, anything else as it is; an abort of
 * `signal` is INTERRUPTED. It settles only after everything that it started has.
 */
export async function solve<R>(definition: Definition, options: SolveOptions<R>): Promise<Solved<R>> {
  const target = options.target ?? definition.target;
  if (target === undefined) return { result: undefined, keys: new Map(), results: new Map() };
  return new Solver(needed(definition, target), options).solve(target);
}

class Solver<R> {
  readonly #vertices: ReadonlyMap<Digest, Vertex>;
  readonly #options: SolveOptions<R>;
  readonly #states: StepStates;
  readonly #explainer: Explainer<R>;
  readonly #limit: LimitFunction;
  readonly #controller = new AbortController();
  readonly #identities = new Map<Digest, Promise<StepIdentity>>();
  readonly #results = new Map<Digest, Promise<R>>();
  readonly #unmade = new Set<Digest>();
  readonly #work: Promise<unknown>[] = [];
  #failure: { readonly error: unknown; readonly vertex?: Vertex } | undefined;

  constructor(vertices: readonly Vertex[], options: SolveOptions<R>) {
    this.#vertices = new Map(vertices.map((vertex) => [vertex.digest, vertex]));
    this.#options = options;
    this.#states = new StepStates(vertices, options.emit);
    this.#explainer = new Explainer(options.explain ?? {}, {
      cache: options.cache,
      vertexOf: (digest) => this.#vertex(digest),
      signal: this.#signal,
    });
    this.#limit = pLimit(Math.max(1, Math.floor(options.parallelism)));
  }

  async solve(target: Digest): Promise<Solved<R>> {
    const { signal } = this.#options;
    const interrupt = (): void => {
      this.#stop(interrupted(signal));
    };
    if (signal.aborted) interrupt();
    signal.addEventListener('abort', interrupt, { once: true });
    try {
      // In the definition's order, so each finds those of its inputs: no recursion, however long the chain.
      for (const vertex of this.#vertices.values()) {
        this.#identities.set(vertex.digest, this.#track(this.#identify(vertex)));
      }
      const result = this.#result(target);
      for (let count = -1; count !== this.#work.length;) {
        count = this.#work.length;
        await Promise.allSettled(this.#work);
      }
      if (this.#failure !== undefined) throw this.#failure.error;
      const [keys, results] = [await keysOf(this.#identities), await settled(this.#results)];
      return { result: await result, keys, results };
    } finally {
      signal.removeEventListener('abort', interrupt);
    }
  }

  #result(digest: Digest): Promise<R> {
    let result = this.#results.get(digest);
    if (result === undefined) {
      this.#states.asked(digest);
      result = this.#track(this.#resultOf(this.#vertex(digest)));
      this.#results.set(digest, result);
    }
    return result;
  }

  async #identify(vertex: Vertex): Promise<StepIdentity> {
    const runner = this.#runner(vertex.op.kind);
    const op = await this.#own(vertex, () => runner.cacheKey(vertex.op, this.#signal));
    const below = await Promise.all(vertex.inputs.map((input) => this.#identity(input)));
    if (op === undefined) return { op, inputs: [], key: undefined, tainted: false };
    const inputs = await Promise.all(
      below.map(async ({ key }, index) =>
        key === undefined
          ? this.#contentOf(vertex, index)
          : selected(key, runner.selector?.(vertex.op, index)),
      ),
    );
    this.#explainer.identified(vertex, op);
    const tainted =
      vertex.meta.ignoreCache === true || below.some((input) => input.key !== undefined && input.tainted);
    const key = keyOf(vertex.op.kind, op, inputs);
    this.#states.identified(vertex, key);
    return { op, inputs, key, tainted };
  }

  /** The content key of what a step reads of an input, which is solved for it if it is not given. */
  async #contentOf(vertex: Vertex, index: number, known?: R): Promise<Digest | undefined> {
    const runner = this.#runner(vertex.op.kind);
    const digest = vertex.inputs[index];
    if (runner.inputKey === undefined || digest === undefined) return undefined;
    const input = known ?? (await this.#result(digest));
    return this.#own(vertex, async () => runner.inputKey?.(vertex.op, index, input, this.#signal));
  }

  async #resultOf(vertex: Vertex): Promise<R> {
    const result = await this.#solveVertex(vertex);
    if (!this.#signal.aborted) this.#options.onResult?.(vertex.digest, result);
    return result;
  }

  async #solveVertex(vertex: Vertex): Promise<R> {
    const identity = await this.#identity(vertex.digest);
    const { key, tainted } = identity;
    const known = key === undefined || tainted ? undefined : await this.#lookup(vertex, key);
    if (known !== undefined) return known;
    await this.#check(vertex, identity);
    const inputs = await Promise.all(vertex.inputs.map((input) => this.#result(input)));
    return this.#solveMiss({ vertex, runner: this.#runner(vertex.op.kind), identity, inputs });
  }

  /** A step that has to run, as no record is near it, and cannot run here is told before those that it needs are run. */
  async #check(vertex: Vertex, { op }: StepIdentity): Promise<void> {
    const runner = this.#runner(vertex.op.kind);
    if (runner.check === undefined || op === undefined || this.#options.dry === true) return;
    await this.#own(vertex, async () => {
      const perhapsKnown =
        vertex.meta.ignoreCache !== true && (await this.#options.cache.near(op)) !== undefined;
      if (!perhapsKnown) await runner.check?.(vertex.op, this.#signal);
    });
  }

  async #solveMiss(step: Step<R>): Promise<R> {
    const { vertex, identity } = step;
    const { cache } = this.#options;
    const anew = vertex.meta.ignoreCache === true;
    const { op, key, tainted } = identity;
    const near = op === undefined ? undefined : await this.#own(vertex, () => cache.near(op));
    // Contents are only read before the step where a record could match them.
    const unread = near === undefined || anew || this.#isUnmade(vertex);
    const content = unread ? undefined : await this.#lookupContent(step);
    if (content?.known !== undefined) {
      const { result, from } = content.known;
      this.#states.cached(vertex, from);
      if (this.#options.dry !== true)
        void this.#track(this.#record(step, key, { result, components: this.#explainer.components(step) }));
      return result;
    }
    if (this.#options.dry === true && (!sources.has(vertex.op.kind) || this.#isUnmade(vertex)))
      return this.#wouldRun(step, near);
    // Not for steps to be run anew: what another process has just recorded is not what was asked for.
    const claimed = anew || this.#options.dry === true ? undefined : tainted ? content?.key : key;
    const claim =
      claimed === undefined ? undefined : await this.#own(vertex, () => cache.claim(claimed, this.#signal));
    if (claim !== undefined && 'result' in claim) {
      this.#states.cached(vertex, claim.from);
      return tainted ? onInputs(step, claim.result) : claim.result;
    }
    return this.#run(step, { near, content: content?.key, lease: claim?.lease });
  }

  /** Whether an input of a dry run was not made: only its name is known. */
  #isUnmade({ inputs }: Vertex): boolean {
    return inputs.some((input) => this.#unmade.has(input));
  }

  async #wouldRun(step: Step<R>, near: NearRecord | undefined): Promise<R> {
    const { vertex } = step;
    const why = await this.#own(vertex, () => this.#explainer.explain(step, near));
    this.#unmade.add(vertex.digest);
    this.#states.running(vertex, why.reason);
    // Only explaining looks at it, which knows: see #isUnmade.
    return undefined as R;
  }

  async #run(
    step: Step<R>,
    known: {
      readonly near: NearRecord | undefined;
      readonly content: Digest | undefined;
      readonly lease: AsyncDisposable | undefined;
    },
  ): Promise<R> {
    const { vertex, runner, inputs } = step;
    const { emit } = this.#options;
    try {
      const why = await this.#own(vertex, () => this.#explainer.explain(step, known.near));
      const result = await this.#own(vertex, async () => {
        await using held = await runner.reserve?.(vertex.op, this.#signal);
        // Awaited here: what is held is free again after the step, not after it was queued.
        return await this.#limit(() => {
          this.#signal.throwIfAborted();
          this.#states.running(vertex, why.reason);
          const fail = (error: unknown): boolean => this.#failFirst(vertex, error);
          return runner.run(vertex.op, inputs, { vertex, signal: this.#signal, emit, held, fail });
        });
      });
      this.#states.done(vertex);
      // Later steps need not wait until this one is recorded; its lease does.
      void this.#track(this.#recordRun(step, { ...known, ...why }, result));
      return result;
    } catch (error) {
      await known.lease?.[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Looks for a result that was made from the same content in another way, and puts it on this build's inputs. What the step stands on is
   * large: it is looked at only where the rest of what the step reads is known. The key is undefined when contents do not make one.
   */
  async #lookupContent(
    step: Step<R>,
  ): Promise<{ readonly key: Digest; readonly known?: Known<R> } | undefined> {
    const { cache } = this.#options;
    const { vertex, runner, inputs } = step;
    const aside = await this.#contentKey(step);
    if (aside === undefined || aside === step.identity.key) return undefined;
    const last = await this.#own(vertex, () => cache.lookup(aside));
    if (last === undefined) return undefined;
    const index = runner.standing?.base(vertex.op);
    const base = index === undefined ? undefined : inputs[index];
    if (runner.standing === undefined || base === undefined) return { key: aside, known: last };
    const key = await this.#contentKey(step, base);
    if (key === undefined) return undefined;
    const isSame = (await this.#contentKey(step, runner.standing.below(last.result))) === key;
    const known = isSame ? last : await this.#own(vertex, () => cache.lookup(key));
    return known === undefined ? { key } : { key, known: { ...known, result: onInputs(step, known.result) } };
  }

  /**
   * The step's key with contents in the place of definitions wherever the op can tell; undefined when that is not enough. `base` is what it
   * stands on; without it whatever that is.
   */
  async #contentKey({ vertex, runner, identity }: Step<R>, base?: R): Promise<Digest | undefined> {
    if (identity.op === undefined || runner.inputKey === undefined) return undefined;
    const baseIndex = runner.standing?.base(vertex.op);
    const inputs = await Promise.all(
      vertex.inputs.map(async (digest, index) => {
        if (index === baseIndex && base === undefined) return anyBase;
        const below = await this.#identity(digest);
        // An input without a key stands in `identity` with its content already.
        if (below.key === undefined) return identity.inputs[index];
        const content = await this.#contentOf(vertex, index, index === baseIndex ? base : undefined);
        return content ?? (below.tainted ? undefined : identity.inputs[index]);
      }),
    );
    return keyOf(vertex.op.kind, identity.op, inputs);
  }

  async #lookup(vertex: Vertex, key: Digest): Promise<R | undefined> {
    const known = await this.#own(vertex, () => this.#options.cache.lookup(key));
    if (known === undefined) return undefined;
    this.#states.cached(vertex, known.from);
    return known.result;
  }

  /** What was done is recorded even when something else has failed meanwhile: work is never lost. */
  async #recordRun(
    step: Step<R>,
    known: Pick<Explanation, 'components'> & {
      readonly content: Digest | undefined;
      readonly lease: AsyncDisposable | undefined;
    },
    result: R,
  ): Promise<void> {
    const { components } = known;
    try {
      await this.#record(step, step.identity.key, { result, components });
      const aside = await this.#contentKey(step);
      for (const key of new Set([aside, known.content]))
        if (key !== step.identity.key) await this.#record(step, key, { result, components });
    } finally {
      await known.lease?.[Symbol.asyncDispose]();
    }
  }

  async #record(
    step: Step<R>,
    key: Digest | undefined,
    { result, components }: { readonly result: R } & Pick<Explanation, 'components'>,
  ): Promise<void> {
    const { op: opKey, inputs } = step.identity;
    if (opKey === undefined || key === undefined || this.#options.dry === true) return;
    const about = {
      opKey,
      inputs: inputs.filter((input) => input !== undefined),
      kind: step.vertex.op.kind,
      name: step.vertex.meta.name,
      place: this.#explainer.placeOf(step.vertex),
      components: await components(),
    };
    try {
      await this.#options.cache.record(key, result, about);
    } catch (error) {
      throw this.#fail(step.vertex, error);
    }
  }

  /** Work that belongs to a step: when it throws, the step has failed, or was cancelled if something failed before. */
  async #own<T>(vertex: Vertex, work: () => Promise<T>): Promise<T> {
    try {
      this.#signal.throwIfAborted();
      return await work();
    } catch (error) {
      throw this.#fail(vertex, error);
    }
  }

  /** Ends a step and everything else; returns the error that counts, which is the first. */
  #fail(vertex: Vertex, error: unknown): unknown {
    if (this.#failure !== undefined) {
      if (this.#failure.vertex !== vertex) this.#states.cancelled(vertex);
      return this.#failure.error;
    }
    const located = locatedError(error, vertex.meta.source);
    this.#states.failed(vertex, messageOf(located));
    this.#stop(located, vertex);
    return located;
  }

  #failFirst(vertex: Vertex, error: unknown): boolean {
    if (this.#failure !== undefined) return false;
    this.#fail(vertex, error);
    return true;
  }

  #stop(error: unknown, vertex?: Vertex): void {
    this.#failure ??= { error, ...(vertex && { vertex }) };
    this.#controller.abort(this.#failure.error);
  }

  /** Remembers a promise until the end, and marks it as looked after. */
  #track<T>(promise: Promise<T>): Promise<T> {
    promise.catch(() => undefined);
    this.#work.push(promise);
    return promise;
  }

  get #signal(): AbortSignal {
    return this.#controller.signal;
  }

  #identity(digest: Digest): Promise<StepIdentity> {
    const identity = this.#identities.get(digest);
    if (identity === undefined) throw new TypeError(`the definition has no vertex ${digest} before its use`);
    return identity;
  }

  #vertex(digest: Digest): Vertex {
    const vertex = this.#vertices.get(digest);
    if (vertex === undefined) throw new TypeError(`the definition has no vertex ${digest}`);
    return vertex;
  }

  /** A runner gets only ops of its kind: the vertex's own kind chose it. */
  #runner(kind: OpKind): OpRunner<R> {
    return this.#options.runners[kind];
  }
}
