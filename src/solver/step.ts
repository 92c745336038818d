import type { OpKind } from '../graph/op.ts';
import type { Vertex } from '../graph/vertex.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOf, digestOfJson } from '../oci/digest.ts';
import { stepKey } from './cache-key.ts';
import { settled } from './needed.ts';
import type { OpRunner } from './runner.ts';

/** A step's identity; `key` is undefined for what cannot be cached. */
export interface StepIdentity {
  readonly op: Digest | undefined;
  readonly inputs: readonly (Digest | undefined)[];
  readonly key: Digest | undefined;
  /**
   * The step, or one whose key is part of this key, is to be run anew. Its definition key then says nothing of its content, and
   * what is recorded under it may come from what was there before: only a key made of contents may be looked up.
   */
  readonly tainted: boolean;
}

/** A step on its way to be run. */
export interface Step<R> {
  readonly vertex: Vertex;
  readonly runner: OpRunner<R>;
  readonly identity: StepIdentity;
  readonly inputs: readonly R[];
}

/** undefined when something that the step reads is not known. */
export function keyOf(kind: OpKind, op: Digest, inputs: readonly (Digest | undefined)[]): Digest | undefined {
  return inputs.every((input) => input !== undefined) ? stepKey(kind, op, inputs) : undefined;
}

/** The definition key of an input, with what is read of it. */
export function selected(key: Digest, selector: readonly string[] | undefined): Digest {
  return selector === undefined ? key : digestOfJson([key, selector]);
}

/** Stands in keys for a base that is not looked at. */
export const anyBase: Digest = digestOf('any base');

/** A result that was found by content, on what this build has for what it stands on. */
export function onInputs<R>({ vertex, runner, inputs }: Step<R>, result: R): R {
  const index = runner.standing?.base(vertex.op);
  const base = index === undefined ? undefined : inputs[index];
  return runner.standing === undefined || base === undefined ? result : runner.standing.onto(result, base);
}

/** Ops whose results cost nothing until something reads them, or are needed for keys. */
export const sources: ReadonlySet<OpKind> = new Set(['image', 'context', 'http', 'git', 'merge']);

/** The keys of those steps that have one. */
export async function keysOf(
  identities: ReadonlyMap<Digest, Promise<StepIdentity>>,
): Promise<ReadonlyMap<Digest, Digest>> {
  const keys = new Map<Digest, Digest>();
  for (const [digest, { key }] of await settled(identities)) if (key !== undefined) keys.set(digest, key);
  return keys;
}
