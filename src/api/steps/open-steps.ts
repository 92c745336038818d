import type { LayerStore } from '../../image/layer-store.ts';
import type { Session } from '../session.ts';
import type { Steps } from './steps.ts';

/** Opens what executes the steps of one build, on the best rung that this host and user have. Throws SANDBOX_UNAVAILABLE, UNSUPPORTED_HERE. */
export async function openSteps(
  session: Session,
  options: { readonly layerStore: LayerStore; readonly runtime: string | undefined },
): Promise<Steps> {
  const { layerStore, runtime } = options;
  const { env, emit, store } = session;
  const { hasRightsOfRoot } = await import('../../host/probe.ts');
  if (!hasRightsOfRoot()) {
    const [{ bestIdMap }, { helperPath }, { workerSteps }] = await Promise.all([
      import('../../host/userns.ts'),
      import('../../host/probe.ts'),
      import('./worker-steps.ts'),
    ]);
    const path = helperPath(env);
    const { map } = bestIdMap(path);
    return workerSteps({ root: store.root, runtime, layerStore, emit, env, map, path });
  }
  const [{ createExecutor }, { localSteps }] = await Promise.all([
    import('../../executor/executor.ts'),
    import('./local-steps.ts'),
  ]);
  const executor = createExecutor({ root: store.root, runtime, emit, env });
  // What killed builds have left: their processes and mounts ended with them, their directories did not.
  await executor.cleanStale();
  return localSteps(executor, layerStore);
}

/** The same, opened when first asked for: a cached build needs none. */
export function lazySteps(open: () => Promise<Steps>): AsyncDisposable & { get(): Promise<Steps> } {
  let steps: Promise<Steps> | undefined;
  return {
    get: () => (steps ??= open()),
    async [Symbol.asyncDispose]() {
      await (await steps?.catch(() => undefined))?.[Symbol.asyncDispose]();
    },
  };
}
