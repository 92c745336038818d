import type { FileComponents, OwnComponents } from '../graph/key-components.ts';
import type { Op, OpKind, OpOf } from '../graph/op.ts';
import type { Vertex } from '../graph/vertex.ts';
import type { Digest } from '../oci/digest.ts';
import type { Emit } from '../progress/event.ts';

export interface RunContext<H = unknown> {
  readonly vertex: Vertex;
  readonly signal: AbortSignal;
  readonly emit: Emit;
  /** What `reserve` gave. */
  readonly held: H | undefined;
  /**
   * Ends the build with this error now: all other steps are stopped, while this one may still do something before it throws the error.
   * False: the build has failed already.
   */
  fail(error: unknown): boolean;
}

/** How one kind of op is cached and run; the solver knows nothing else about it. */
export interface OpRunner<R, O extends Op = Op, H = unknown> {
  /** All that decides the outcome except the inputs. undefined: the op has no identity of its own (a local context); it is run in
   * every build, and whoever uses it is keyed by what `inputKey` says of its content. */
  cacheKey(op: O, signal: AbortSignal): Promise<Digest | undefined>;
  /** Content key of what this op reads of input `index`; undefined: it cannot tell, use the definition key. */
  inputKey?(op: O, index: number, input: R, signal: AbortSignal): Promise<Digest | undefined>;
  /** What its own key is made of, for explaining. */
  describe?(op: O): OwnComponents;
  /** What this op reads of input `index`, for explaining; undefined: it cannot tell. */
  inputFiles?(op: O, index: number, input: R, signal: AbortSignal): Promise<FileComponents | undefined>;
  /** What this op reads of input `index`, by name: goes beside the input's definition key, where no content stands for both. */
  selector?(op: O, index: number): readonly string[] | undefined;
  /** For ops that put something of their own on top of one input. */
  readonly standing?: Standing<R, O>;
  /** Throws when this host can run no such op. Asked as soon as it is clear that the op has to run, before what it needs is run. */
  check?(op: O, signal: AbortSignal): Promise<void>;
  /** Waits for what the op must hold and others may hold now. Not in a slot: those others may wait for one. Freed after `run`. */
  reserve?(op: O, signal: AbortSignal): Promise<(H & (AsyncDisposable | Disposable)) | undefined>;
  /** Does it. `inputs` are in the order of the vertex. Must stop soon once `context.signal` is aborted. */
  run(op: O, inputs: readonly R[], context: RunContext<H>): Promise<R>;
}

/**
 * How a result stands on the input that it is put on. That input is large, so its content is looked at only when a record might match; and a
 * result that is found by content is put on the input that this build has: what was below it before, with the same content, may have
 * been made in another way.
 */
export interface Standing<R, O extends Op = Op> {
  /** Which input; undefined: the op stands on nothing. */
  base(op: O): number | undefined;
  /** What a result stands on. */
  below(result: R): R;
  /** The same on another base. */
  onto(result: R, base: R): R;
}

export type OpRunners<R> = { readonly [K in OpKind]: OpRunner<R, OpOf<K>> };
