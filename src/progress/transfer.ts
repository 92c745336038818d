import type { Emit } from './event.ts';

/** Tells of one transfer. Bytes. */
export interface TransferTeller {
  /** So far; goes back when a try failed. */
  readonly at: (current: number) => void;
  readonly done: (total: number) => void;
}

const MiB = 1024 * 1024;

/** `id`: the step that the transfer is shown under. One event per MiB is enough for any renderer. */
export function transferTeller(
  emit: Emit | undefined,
  { id, name, total }: { readonly id: string; readonly name: string; readonly total?: number },
): TransferTeller {
  const about = { type: 'transfer', id, name } as const;
  let shown = 0;
  return {
    at(current) {
      if (Math.abs(current - shown) < MiB) return;
      shown = current;
      const known = total === undefined ? {} : { total };
      emit?.({ ...about, current, ...known, done: false, time: Date.now() });
    },
    done: (size) => emit?.({ ...about, current: size, total: size, done: true, time: Date.now() }),
  };
}
