import { availableParallelism } from 'node:os';
import { solve } from '../solver/solve.ts';
import type { Emit } from '../progress/event.ts';
import type { BaseImages } from './base-images.ts';
import { createBaseImages } from './base-images.ts';
import { openContexts } from './contexts.ts';
import { execSettings } from './exec-settings.ts';
import { checkOutputs, checkPushRights, exportAll, layerCompression } from './export-all.ts';
import { imageConfig } from './image-config.ts';
import { knownRuntime } from './known-runtime.ts';
import { makePlan } from './plan.ts';
import { createResultCache } from './result-cache.ts';
import { layersOf } from './result.ts';
import { requireEntitlements } from './runners/exec.ts';
import { buildRunners } from './runners/index.ts';
import { layerTimes } from './runners/layer-times.ts';
import { gitAuthorization, httpAuthorization } from './secrets.ts';
import type { Session } from './session.ts';
import { withSession } from './session.ts';
import { lazySteps, openSteps } from './steps/open-steps.ts';
import type { BuildOptions, BuildResult } from './types.ts';

/**
 * Builds an image from a Dockerfile and a context: parse, lower, solve, export.
 *
 * Rejects with a BuildError for everything that the user can cause; then nothing of the output was written, and no process, mount or
 * temporary file is left. Several builds may run at once, in this process and in others, on the same store.
 */
export function build(options: BuildOptions): Promise<BuildResult> {
  const steps = { cached: 0, run: 0 };
  const onEvent: Emit = (event) => {
    if (event.type === 'vertex' && event.id.startsWith('sha256:')) {
      if (event.state === 'cached') steps.cached += 1;
      if (event.state === 'done') steps.run += 1;
    }
    options.onEvent?.(event);
  };
  return withSession({ ...options, onEvent }, async (session) => ({
    ...(await runBuild(options, session)),
    steps,
  }));
}

async function runBuild(options: BuildOptions, session: Session): Promise<Omit<BuildResult, 'steps'>> {
  const { store, signal, emit } = session;
  const outputs = checkOutputs(options, store.root);
  const runtime = await knownRuntime(options.runtime);
  // Made by whoever needs it: a cached build does not.
  const tempDir = (): Promise<string> => store.tempDir();
  await using contexts = await openContexts(options, session, tempDir);
  const layerStore = session.layerStore(
    layerCompression(outputs),
    (diffId) => bases.layer(diffId) !== undefined,
  );
  const bases: BaseImages = createBaseImages(session, layerStore, options.pull ?? false);
  const plan = await makePlan(options, session, { contexts, bases });
  await checkPushRights({ options, outputs, session });
  await using settings = await execSettings(options, session.env, tempDir);
  requireEntitlements(plan.lowered.definition, settings.allow);
  await using steps = lazySteps(() => openSteps(session, { layerStore, runtime }));
  const runners = buildRunners({
    bases,
    layerStore,
    times: layerTimes(plan.sourceDateEpoch),
    settings,
    openContext: (name) => contexts.open(name),
    steps: () => steps.get(),
    fetchHttp: async (op, forStep) => {
      const { fetchHttp } = await import('../source/http.ts');
      return fetchHttp(op, {
        cacheDir: store.root,
        env: session.env,
        signal: forStep,
        authorization: httpAuthorization(settings.secrets),
      });
    },
    checkoutGit: async (op, forStep) => {
      const { checkoutGit } = await import('../source/git.ts');
      const agent = settings.sshSockets['default'];
      return checkoutGit(op, {
        tempDir,
        env: agent === undefined ? session.env : { ...session.env, SSH_AUTH_SOCK: agent },
        signal: forStep,
        authorization: gitAuthorization(settings.secrets),
      });
    },
  });
  const solved = await solve(plan.lowered.definition, {
    runners,
    cache: createResultCache(store, layerStore, bases),
    parallelism: options.parallelism ?? Math.max(2, availableParallelism()),
    signal,
    emit,
  });
  const layers = layersOf(solved.result);
  const config = imageConfig(plan.image, layers, plan.sourceDateEpoch);
  const exported = await exportAll({
    options,
    outputs,
    session,
    plan,
    config,
    layers,
    origins: bases.origins,
  });
  return { ...exported, diagnostics: plan.diagnostics };
}
