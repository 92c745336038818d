import type { LayerStore } from '../../image/layer-store.ts';
import type { Diagnostic } from '../../util/diagnostic.ts';
import type { Session } from '../session.ts';
import type { Steps } from './steps.ts';

/** Opens what executes the steps of one build, on the best rung that this host and user have. Throws SANDBOX_UNAVAILABLE, UNSUPPORTED_HERE. */
export async function openSteps(
  session: Session,
  options: { readonly layerStore: LayerStore; readonly runtime: string | undefined },
): Promise<Steps> {
  const { layerStore, runtime } = options;
  const { env, emit, store } = session;
  const [{ findRung, singleId }, { createExecutor, hostProblem }] = await Promise.all([
    import('./rung.ts'),
    import('../../executor/executor.ts'),
  ]);
  const problem = hostProblem();
  if (problem !== undefined) throw problem;
  const rung = findRung(env);
  if (rung.name !== 'root') {
    const { workerSteps } = await import('./worker-steps.ts');
    if (rung.name === 'single-id') emit({ type: 'diagnostic', diagnostic: singleIdWarning(singleId) });
    return workerSteps({ root: store.root, runtime, layerStore, emit, env, map: rung.map, path: rung.path });
  }
  const { localSteps } = await import('./local-steps.ts');
  const executor = createExecutor({ root: store.root, runtime, emit, env });
  // What killed builds have left: their processes and mounts ended with them, their directories did not.
  await executor.cleanStale();
  return localSteps({ executor, layerStore, session });
}

function singleIdWarning(what: string): Diagnostic {
  return {
    severity: 'warning',
    rule: 'SingleId',
    message: `steps run ${what}`,
    hint: '`tsbuild doctor` tells what gives this user more ids',
  };
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
