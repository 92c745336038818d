import type { ContextOp, GitOp, HttpOp, MergeOp } from '../../graph/op.ts';
import type { Tree } from '../../image/tree.ts';
import { digestOfJson } from '../../oci/digest.ts';
import type { OpRunner } from '../../solver/runner.ts';
import type { StepOutcome } from '../result.ts';
import { layersOf } from '../result.ts';

/** Opens a build context by name; each is opened once a build. */
export type OpenContext = (name: string) => Promise<{ readonly tree: Tree; readonly directory?: string }>;

/** A context has no key of its own: whoever reads it is keyed by the content that it reads (K-4). */
export function contextRunner(open: OpenContext): OpRunner<StepOutcome, ContextOp> {
  return {
    cacheKey: () => Promise.resolve(undefined),
    run: async (op) => ({ kind: 'tree', keepOwners: false, ...(await open(op.name)) }),
  };
}

/** A file by HTTP (K-3): keyed by its content, which the server's ETag keeps from being read again. */
export function httpRunner(
  fetch: (op: HttpOp, signal: AbortSignal) => Promise<Tree>,
): OpRunner<StepOutcome, HttpOp> {
  return {
    cacheKey: () => Promise.resolve(undefined),
    run: async (op, _inputs, context) => ({
      kind: 'tree',
      keepOwners: true,
      tree: await fetch(op, context.signal),
    }),
  };
}

/** A git checkout (K-2): keyed by the content of its files. */
export function gitRunner(
  checkout: (op: GitOp, signal: AbortSignal) => Promise<Tree>,
): OpRunner<StepOutcome, GitOp> {
  return {
    cacheKey: () => Promise.resolve(undefined),
    run: async (op, _inputs, context) => {
      const tree = await checkout(op, context.signal);
      const mtime = op.mtime === 'commit' ? (await tree.lstat(''))?.mtime : undefined;
      return { kind: 'tree', keepOwners: true, tree, ...(mtime === undefined ? {} : { mtime }) };
    },
  };
}

/** Stacks filesystems (K-9); of none, the empty one. */
export const mergeRunner: OpRunner<StepOutcome, MergeOp> = {
  cacheKey: () => Promise.resolve(digestOfJson({ merge: 1 })),
  run: (_op, inputs) => {
    return Promise.resolve({ kind: 'layers', layers: inputs.flatMap((input) => [...layersOf(input)]) });
  },
};
