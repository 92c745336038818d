import pLimit from 'p-limit';

export interface SideBySideOptions {
  readonly signal?: AbortSignal | undefined;
  /** At once; default: all. */
  readonly concurrency?: number | undefined;
}

/** So many failures in a row say that nothing gets through. */
const patience = 4;

/**
 * Does the same with several things at once. One that fails leaves the others alone, so that the next try has less to do; only when one after
 * the other fails, the rest is ended. Throws when all has ended: the signal's reason, else the first failure.
 */
export async function sideBySide<T>(
  items: Iterable<T>,
  work: (item: T, signal: AbortSignal) => Promise<void>,
  options: SideBySideOptions = {},
): Promise<void> {
  const limit = pLimit(options.concurrency ?? Infinity);
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  let first: { readonly error: unknown } | undefined;
  let inARow = 0;
  const one = async (item: T): Promise<void> => {
    if (signal.aborted) return;
    try {
      await work(item, signal);
      inARow = 0;
    } catch (error) {
      first ??= { error };
      inARow += 1;
      if (inARow > patience) stop.abort(error);
    }
  };
  await Promise.all([...items].map((item) => limit(() => one(item))));
  options.signal?.throwIfAborted();
  if (first !== undefined) throw first.error;
}
