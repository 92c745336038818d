import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pruneStore } from '../store/prune.ts';
import type { Store } from '../store/store.ts';
import { surveyStore } from '../store/usage.ts';
import { BuildError } from '../util/build-error.ts';
import type { Session } from './session.ts';
import type { StoreTask } from './store-types.ts';

/** Does the task in this process. */
export async function doStoreTask(store: Store, task: StoreTask, signal: AbortSignal): Promise<unknown> {
  switch (task.kind) {
    case 'usage':
      return await surveyStore(store.root, store.state, { signal });
    case 'check': {
      const [{ checkStore }, { checkLayer }] = await Promise.all([
        import('../store/check.ts'),
        import('../image/check-layer.ts'),
      ]);
      return await checkStore(store, { ...task, signal, checkLayer });
    }
    case 'prune':
      return await pruneStore(store, task.request, {
        ...{ now: Date.now(), signal, wait: task.wait, beside: task.beside },
      });
    default:
      throw new TypeError(`no such task: ${JSON.stringify(task)}`);
  }
}

/**
 * Does the task where the store's files can be read and removed: steps of a user without the rights of root leave files of other ids there,
 * which only a user namespace like theirs can touch. Where none can be made, as much as this user may.
 */
export async function maintainStore(
  session: Session,
  task: StoreTask,
  signal: AbortSignal = session.signal,
): Promise<unknown> {
  const { store } = session;
  const { findRung } = await import('./steps/rung.ts');
  const rung = findRung(session.env);
  const hasSteps = ['layers', 'cache-mounts', 'snapshots'].some((name) => existsSync(join(store.root, name)));
  if (rung.name === 'root' || !hasSteps) {
    if (hasSteps && task.kind === 'prune') {
      const { removeStaleSnapshots } = await import('../executor/snapshot.ts');
      await removeStaleSnapshots(store.root);
    }
    return doStoreTask(store, task, signal);
  }
  const { workerSteps } = await import('./steps/worker-steps.ts');
  const { env, emit } = session;
  const { map, path } = rung;
  const place = { map, path };
  // This process reads nothing meanwhile: the other one must not wait for it.
  store.useLock.release();
  try {
    const layerStore = session.layerStore();
    await using steps = await workerSteps({
      root: store.root,
      runtime: undefined,
      layerStore,
      emit,
      env,
      place,
    });
    return await steps.maintain(task, signal);
  } catch (error) {
    if (!(error instanceof BuildError) || error.code !== 'SANDBOX_UNAVAILABLE') throw error;
    return doStoreTask(store, task, signal);
  }
}
