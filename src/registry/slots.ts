import pLimit from 'p-limit';

/** Gives out a limited number of places; disposing one gives it to the next in line. An abort while waiting throws the signal's reason. */
export type Slots = (signal?: AbortSignal) => Promise<Disposable>;

export function createSlots(count: number): Slots {
  const limit = pLimit(count);
  return async (signal) => {
    signal?.throwIfAborted();
    const left = Promise.withResolvers<void>();
    const entered = Promise.withResolvers<void>();
    const leave = (): void => left.resolve();
    const aborted = (): void => {
      leave();
      entered.reject(signal?.reason as Error);
    };
    signal?.addEventListener('abort', aborted, { once: true });
    void limit(() => {
      entered.resolve();
      return left.promise;
    });
    try {
      await entered.promise;
    } finally {
      signal?.removeEventListener('abort', aborted);
    }
    return { [Symbol.dispose]: leave };
  };
}
