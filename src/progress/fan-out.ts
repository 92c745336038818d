import type { Emit, ProgressEvent } from './event.ts';

/** One Emit for many listeners, in their order. undefined listeners are left out. */
export function fanOut(listeners: readonly (Emit | undefined)[]): Emit {
  const present = listeners.filter((listener) => listener !== undefined);
  const [only] = present;
  if (present.length === 1 && only !== undefined) return only;
  return (event) => {
    for (const listener of present) listener(event);
  };
}

/** Events for a `for await` loop. */
export interface EventQueue extends AsyncIterable<ProgressEvent> {
  readonly emit: Emit;
  /** No more will come: the loop ends after what is waiting. */
  end(): void;
}

/** Keeps events until they are taken; one loop may take them. Nothing is dropped, so a slow reader costs memory. */
export function eventQueue(): EventQueue {
  let waiting: ProgressEvent[] = [];
  let ended = false;
  let wake: () => void = () => undefined;
  return {
    emit: (event) => {
      if (ended) return;
      waiting.push(event);
      wake();
    },
    end: () => {
      ended = true;
      wake();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const events = waiting;
        waiting = [];
        yield* events;
        if (waiting.length > 0) continue;
        if (ended) return;
        // Nothing is awaited between the look and the wait, so no event can slip through.
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
