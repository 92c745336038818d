import type { Definition } from '../graph/definition.ts';
import type { Emit } from '../progress/event.ts';
import { BuildError } from '../util/build-error.ts';

/** Watches a build that has a time limit. */
export interface TimeLimit extends Disposable {
  /** For the build: aborts when the time is over, or when the caller's own does. */
  readonly signal: AbortSignal | undefined;
  /** Sees which steps run. */
  readonly watch: Emit;
  /** The steps have lines from then on. */
  planned(definition: Definition): void;
  /** TIMEOUT in the place of an error that is only the end of the time. */
  explain(error: unknown): unknown;
}

/** @param milliseconds undefined: no limit. */
export function timeLimit(milliseconds: number | undefined, caller: AbortSignal | undefined): TimeLimit {
  const running = new Map<string, string>();
  const over = new AbortController();
  const timer =
    milliseconds === undefined
      ? undefined
      : setTimeout(() => over.abort(), Math.min(milliseconds, 2 ** 31 - 1));
  let steps: Definition | undefined;
  /** Those that ran when the time was over. */
  let cut: readonly (readonly [id: string, name: string])[] = [];
  over.signal.addEventListener('abort', () => (cut = [...running]));
  return {
    signal:
      milliseconds === undefined
        ? caller
        : AbortSignal.any([over.signal, ...(caller === undefined ? [] : [caller])]),
    watch: (event) => {
      if (event.type !== 'vertex') return;
      if (event.state === 'running') running.set(event.id, event.name);
      else running.delete(event.id);
    },
    planned: (definition) => (steps = definition),
    explain(error) {
      const isEnd = error instanceof BuildError && error.code === 'INTERRUPTED';
      if (!isEnd || !over.signal.aborted || caller?.aborted === true) return error;
      const names = cut.map(([, name]) => name);
      const [first] = cut;
      const vertex = steps?.vertices.find(({ digest }) => digest === first?.[0]);
      return new BuildError('TIMEOUT', `the build was not done in ${(milliseconds ?? 0) / 1000} s`, {
        hint: names.length === 0 ? undefined : `still running: ${names.join('; ')}`,
        source: vertex?.meta.source,
        details: { running: names, milliseconds },
        cause: error,
      });
    },
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}
