import type { NearRecord } from '../graph/cache-store.ts';
import type { KeyComponents } from '../graph/key-components.ts';
import type { Vertex } from '../graph/vertex.ts';
import type { Digest } from '../oci/digest.ts';
import type { MissReason } from '../progress/miss-reason.ts';
import type { Comparison } from './compare.ts';
import { compareComponents } from './compare.ts';
import { instructionOf } from './components.ts';
import type { PreviousRecords } from './explainer.ts';
import type { StepIdentity } from './step.ts';

/** What is known of a step that has to run. */
export interface Miss {
  readonly vertex: Vertex;
  readonly identity: StepIdentity;
  /** undefined: they are not known. */
  readonly components: KeyComponents | undefined;
  readonly records: ComparedRecords;
  /** Why an input was run in this build; undefined: it was not. */
  missOf(vertex: Digest): MissReason | undefined;
  nameOf(vertex: Digest): string;
}

/** The records that a step may be compared with. */
export interface ComparedRecords {
  /** What the last build of this Dockerfile had at this place, and of this op. */
  readonly previous: PreviousRecords | undefined;
  /** The latest records of this place, newest first. */
  readonly atPlace: readonly NearRecord[];
  /** The latest record of the same op, wherever it was made. */
  readonly sameOp: NearRecord | undefined;
  /** Is it of a step of this build? If of another one, the step at this place is a new one, and not an old one that was changed. */
  isInBuild(record: NearRecord): boolean;
}

/** Why a step is run, by the first difference to the record that it is most like; undefined where it needs no reason (a build context). */
export function explainMiss(miss: Miss): MissReason | undefined {
  const { vertex, identity, records } = miss;
  const { key, op } = identity;
  if (vertex.meta.ignoreCache === true) return { kind: 'no-cache' };
  if (key === undefined || op === undefined) return undefined;
  const all = [records.previous?.here, ...records.atPlace, records.sameOp].filter((one) => one !== undefined);
  if (!identity.tainted && all.some((record) => record.key === key)) return { kind: 'lost' };
  const inputs = vertex.inputs.map((_, index) => index);
  const near = miss.components && mostAlike(miss.components, vertex, { op, records });
  if (near === undefined) {
    if (identity.tainted) return ofInputs(miss, inputs);
    const { sameOp } = records;
    if (sameOp === undefined || !mayBe(sameOp, vertex, records)) return { kind: 'new' };
    const changed = inputs.filter((index) => sameOp.inputs[index] !== identity.inputs[index]);
    return ofInputs(miss, changed.length === 0 ? inputs : changed);
  }
  const { first, inputs: others } = near.comparison;
  if (first === undefined) {
    if (others.length === 0 && near.record.opKey !== op) return { kind: 'other' };
    return ofInputs(miss, others.length === 0 ? inputs : others);
  }
  // What a moved base brings (its ENV) is no argument of the user's.
  const parent = first.kind === 'argument' ? parentMiss(miss, inputs) : undefined;
  return parent?.because.kind === 'base' ? parent : first;
}

/**
 * The record that tells most: what the last build had, unless the step has merely moved or is new; then what is made of the same op; then what
 * this place had before it was edited.
 */
function mostAlike(
  now: KeyComponents,
  vertex: Vertex,
  { op, records }: { readonly op: Digest; readonly records: ComparedRecords },
): { readonly record: NearRecord; readonly comparison: Comparison } | undefined {
  const { previous, atPlace, sameOp } = records;
  const here = previous?.here;
  const isThis = (record: NearRecord): boolean => record.opKey === op && isSameText(record, vertex);
  const wasEdited = (record: NearRecord): boolean => !records.isInBuild(record);
  const groups = [
    [here, previous?.sameOp].filter((one) => one !== undefined && isThis(one)),
    [here].filter((one) => one !== undefined && wasEdited(one)),
    atPlace.filter(isThis),
    [sameOp].filter((one) => one !== undefined && mayBe(one, vertex, records)),
    atPlace.filter(wasEdited),
  ];
  for (const group of groups) {
    const compared = group.flatMap((record) => {
      const before = record?.components?.();
      return record === undefined || before === undefined
        ? []
        : [{ record, comparison: compareComponents(before, now) }];
    });
    const least = Math.min(...compared.map(({ comparison }) => comparison.differences));
    const found = compared.find(({ comparison }) => comparison.differences === least);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The op of a COPY does not say what is copied: the instruction does. */
function isSameText(record: NearRecord, { meta }: Vertex): boolean {
  return instructionOf(record.name) === instructionOf(meta.name);
}

/** May the record be one of this step, rather than of another step of this build? */
function mayBe(record: NearRecord, vertex: Vertex, records: ComparedRecords): boolean {
  return isSameText(record, vertex) || !records.isInBuild(record);
}

/** Of the inputs the first that was run in this build, with what began it. */
function parentMiss(
  miss: Miss,
  indices: readonly number[],
): Extract<MissReason, { readonly kind: 'parent' }> | undefined {
  for (const index of indices) {
    const digest = miss.vertex.inputs[index];
    const because = digest === undefined ? undefined : miss.missOf(digest);
    if (digest === undefined || because === undefined) continue;
    const step = miss.nameOf(digest);
    if (because.kind !== 'parent') return { kind: 'parent', step, because };
    return { kind: 'parent', step, root: because.root ?? because.step, because: because.because };
  }
  return undefined;
}

/** Of inputs that are not what they were: one was run in this build, or the step was never done on them. */
function ofInputs(miss: Miss, indices: readonly number[]): MissReason {
  const parent = parentMiss(miss, indices);
  if (parent !== undefined) return parent;
  const steps = [...new Set(indices.flatMap((index) => miss.vertex.inputs[index] ?? []))];
  return { kind: 'inputs', steps: steps.map((digest) => miss.nameOf(digest)) };
}
