import type { LayerStore } from '../../image/layer-store.ts';
import type { Diagnostic } from '../../util/diagnostic.ts';
import { BuildError } from '../../util/build-error.ts';
import type { Session } from '../session.ts';
import type { BuildOptions } from '../types.ts';
import type { Steps } from './steps.ts';

/** Opens what executes the steps of one build, on the best rung that this host and user have. Throws SANDBOX_UNAVAILABLE, UNSUPPORTED_HERE. */
export async function openSteps(
  session: Session,
  options: {
    readonly layerStore: LayerStore;
    readonly runtime: string | undefined;
    readonly isolation?: BuildOptions['isolation'];
  },
): Promise<Steps> {
  const { layerStore, runtime } = options;
  const { env, emit, store } = session;
  const [{ findRung, singleId }, { createExecutor, hostProblem }] = await Promise.all([
    import('./rung.ts'),
    import('../../executor/executor.ts'),
  ]);
  const problem = hostProblem();
  if (problem !== undefined) throw problem;
  // From here on this is a build at work: see Store.tempDir. What cannot be written is told by whoever writes.
  await store.tempDir().catch(() => undefined);
  if (options.isolation === 'chroot') return withoutNamespaces(session, layerStore);
  const rung = findRung(env);
  if (rung.name !== 'root') {
    const { workerSteps } = await import('./worker-steps.ts');
    if (rung.name === 'single-id') emit({ type: 'diagnostic', diagnostic: singleIdWarning(singleId) });
    const { map, path } = rung;
    return workerSteps({ root: store.root, runtime, layerStore, emit, env, place: { map, path } });
  }
  const { localSteps } = await import('./local-steps.ts');
  const executor = createExecutor({ root: store.root, runtime, emit, env });
  // What killed builds have left: their processes and mounts ended with them, their directories did not.
  await executor.cleanStale();
  return localSteps({ executor, layerStore, session });
}

/** Only when it is asked for: what is stronger was not tried. */
async function withoutNamespaces({ env, emit, store }: Session, layerStore: LayerStore): Promise<Steps> {
  const [{ chrootProblem }, { workerSteps }] = await Promise.all([
    import('../../executor/chroot/chroot-executor.ts'),
    import('./worker-steps.ts'),
  ]);
  const problem = chrootProblem();
  if (problem !== undefined)
    throw new BuildError('SANDBOX_UNAVAILABLE', `--isolation=chroot does not work here: ${problem}`, {
      hint: 'without the flag steps run in the best sandbox that `tsbuild doctor` finds',
    });
  emit({ type: 'diagnostic', diagnostic: chrootWarning });
  return workerSteps({ root: store.root, runtime: undefined, layerStore, emit, env, place: 'chroot' });
}

const chrootWarning: Diagnostic = {
  severity: 'warning',
  rule: 'ChrootIsolation',
  message:
    'steps run without a sandbox (--isolation=chroot): they see the processes and the network of this container, and their secrets are on its disk',
  hint: 'use it for Dockerfiles that you trust, in a container that is there for this build alone',
};

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
