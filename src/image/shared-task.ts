interface Running<T> {
  readonly promise: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
}

/**
 * Work that several callers wait for together: it starts with the first, and is aborted when the last has left. A result or
 * failure is given to those who wait; nothing is kept, so the next caller starts anew. Put a check for work that is done
 * before `join`.
 */
export class SharedTask<T> {
  #current: Running<T> | undefined;

  async join(start: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const task = this.#current ?? this.#begin(start);
    task.waiting += 1;
    let leave: (() => void) | undefined;
    const left = new Promise<never>((_, reject) => {
      leave = (): void => reject(signal?.reason as Error);
      signal?.addEventListener('abort', leave, { once: true });
    });
    try {
      return await Promise.race([task.promise, left]);
    } finally {
      if (leave !== undefined) signal?.removeEventListener('abort', leave);
      task.waiting -= 1;
      if (task.waiting === 0 && this.#current === task) {
        // Invariant: nobody joins a task that has been aborted.
        this.#current = undefined;
        task.controller.abort(signal?.reason);
      }
    }
  }

  #begin(start: (signal: AbortSignal) => Promise<T>): Running<T> {
    const controller = new AbortController();
    const promise = start(controller.signal);
    const task = { promise, controller, waiting: 0 };
    this.#current = task;
    const ended = (): void => {
      if (this.#current === task) this.#current = undefined;
    };
    promise.then(ended, ended);
    return task;
  }
}
