import type { Emit } from '../progress/event.ts';

/** Does work that is no vertex (loading, resolving, exporting) as a step that progress shows. What `work` throws passes through. */
export async function internalStep<T>(
  emit: Emit,
  name: string,
  work: (id: string) => Promise<T>,
): Promise<T> {
  const id = `internal:${name}` as const;
  emit({ type: 'vertex', id, name, state: 'running', time: Date.now() });
  try {
    const result = await work(id);
    emit({ type: 'vertex', id, name, state: 'done', time: Date.now() });
    return result;
  } catch (error) {
    emit({
      type: 'vertex',
      id,
      name,
      state: 'failed',
      error: (error as Error).message,
      time: Date.now(),
    });
    throw error;
  }
}
