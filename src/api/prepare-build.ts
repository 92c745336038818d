import { availableParallelism } from 'node:os';
import type { LayerStore } from '../image/layer-store.ts';
import type { Platform } from '../oci/platform.ts';
import type { Digest } from '../oci/digest.ts';
import type { Solved, SolveOptions } from '../solver/solve.ts';
import { solve } from '../solver/solve.ts';
import type { Needle } from '../util/secret-needles.ts';
import type { BaseImages } from './base-images.ts';
import { createBaseImages } from './base-images.ts';
import type { BuildCacheMounts } from './cache-mounts.ts';
import { clientProxies } from './client-proxies.ts';
import { openContexts } from './contexts.ts';
import { explaining, sourceOf } from './explaining.ts';
import { execSettings } from './exec-settings.ts';
import { knownRuntime } from './known-runtime.ts';
import type { CutFile, Plan } from './plan.ts';
import { makePlan } from './plan.ts';
import { createResultCache } from './result-cache.ts';
import type { StepOutcome } from './result.ts';
import type { BuildCaches, RemoteSurroundings } from './remote-caches.ts';
import type { ExecSettings } from './runners/exec.ts';
import { requireEntitlements } from './runners/exec.ts';
import { buildRunners } from './runners/index.ts';
import { layerTimes } from './runners/layer-times.ts';
import type { SecretGate } from './secret-gate.ts';
import { gitAuthorization, httpAuthorization } from './secrets.ts';
import type { LayerCompression, Session } from './session.ts';
import { guardedRunners, spaceGuard } from './space.ts';
import { lazySteps, openSteps } from './steps/open-steps.ts';
import type { Steps } from './steps/steps.ts';
import type { BuildOptions } from './types.ts';

/** A build that is planned, and whose steps can be run: everything but its outputs. */
export interface PreparedBuild extends AsyncDisposable {
  readonly plan: Plan;
  readonly bases: BaseImages;
  readonly settings: ExecSettings;
  /** undefined: the build has no secrets. */
  readonly gate: SecretGate | undefined;
  /** undefined: the build takes nothing from other machines, and gives nothing. */
  readonly caches: BuildCaches | undefined;
  /** The same of its cache mounts. */
  readonly mounts: BuildCacheMounts | undefined;
  readonly steps: () => Promise<Steps>;
  /** Runs what a vertex needs and is not cached; default: the plan's target. */
  solve(target?: Digest, how?: SolveHow): Promise<Solved<StepOutcome>>;
}

export type SolveHow = Pick<SolveOptions<StepOutcome>, 'dry' | 'onResult'>;

export interface Preparation {
  readonly compression?: LayerCompression | undefined;
  /** What the build's secrets look like; undefined: it has none. */
  readonly needles?: readonly Needle[] | undefined;
  /** What of the Dockerfile is built. */
  readonly cut?: CutFile | undefined;
  /** Of the build in the history: it is not compared with itself. */
  readonly buildId?: string | undefined;
  /** Asked before a step can run: what a plan is not to be built for. */
  readonly check?: ((plan: Plan) => Promise<void>) | undefined;
}

/** Parses, lowers and checks; runs nothing. Dispose it after the last step. */
export async function prepareBuild(
  given: BuildOptions,
  session: Session,
  { compression, needles, cut, check, buildId }: Preparation,
): Promise<PreparedBuild> {
  const { store, signal, emit, env } = session;
  const options = { ...given, buildArgs: { ...clientProxies(env), ...given.buildArgs } };
  await using opened = new AsyncDisposableStack();
  const runtime = await knownRuntime(options.runtime);
  // Made by whoever needs it: a cached build does not.
  const tempDir = (): Promise<string> => store.tempDir();
  const contexts = opened.use(await openContexts(options, session, tempDir));
  const layerStore: LayerStore = session.layerStore(
    compression,
    (diffId) => bases.layer(diffId) !== undefined,
  );
  const bases = createBaseImages(session, layerStore, options.pull);
  const plan = await makePlan(options, session, { contexts, bases, cut });
  await check?.(plan);
  const settings = opened.use(await execSettings(options, env, tempDir));
  requireEntitlements(plan.lowered.definition, settings.allow);
  const gate = needles && (await openGate(needles, settings, session));
  gate?.checkImage(plan.image, options.annotations ?? {});
  const steps = opened.use(
    lazySteps(() => openSteps(session, { layerStore, runtime, isolation: options.isolation })),
  );
  const mounts = await openCacheMounts(options, session, plan.platform);
  if (mounts !== undefined) opened.use(mounts);
  const all = buildRunners({
    bases,
    layerStore,
    times: layerTimes(plan.sourceDateEpoch),
    settings,
    gate,
    openContext: (name) => contexts.open(name),
    steps: () => steps.get(),
    fillCaches: mounts && ((op, ready) => mounts.fill(op, ready)),
    fetchHttp: async (op, forStep) => {
      const { fetchHttp } = await import('../source/http.ts');
      return fetchHttp(op, {
        cacheDir: store.root,
        env,
        signal: forStep,
        authorization: httpAuthorization(settings.secrets),
      });
    },
    checkoutGit: async (op, forStep) => {
      const [{ checkoutGit }, { shortName }] = await Promise.all([
        import('../source/git.ts'),
        import('../util/unix-socket.ts'),
      ]);
      const agent = settings.sshSockets['default'];
      using socket = agent === undefined ? undefined : shortName(agent);
      return await checkoutGit(op, {
        tempDir,
        env: socket === undefined ? env : { ...env, SSH_AUTH_SOCK: socket.name },
        signal: forStep,
        authorization: gitAuthorization(settings.secrets),
      });
    },
  });
  const runners = guardedRunners(all, spaceGuard(options, session));
  const explain = await explaining(sourceOf(options), { needles, store, buildId });
  const caches = await openCaches(options, { session, layerStore, bases, plan });
  if (caches !== undefined) opened.use(caches);
  const cache = createResultCache(store, layerStore, bases, caches?.imports);
  const held = opened.move();
  return {
    ...{ plan, bases, settings, gate, caches, mounts },
    steps: () => steps.get(),
    solve: (target, how) =>
      solve(plan.lowered.definition, {
        ...{ runners, cache, signal, emit, target },
        ...how,
        explain,
        parallelism: options.parallelism ?? Math.max(2, availableParallelism()),
      }),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** Loaded for the builds that want it. */
async function openCaches(
  options: BuildOptions,
  surroundings: RemoteSurroundings,
): Promise<BuildCaches | undefined> {
  const { cacheFrom = [], cacheTo = [], buildArgs } = options;
  const asked = cacheFrom.length + cacheTo.length > 0 || buildArgs?.['BUILDKIT_INLINE_CACHE'] === '1';
  if (!asked) return undefined;
  const { BuildCaches: Caches } = await import('./remote-caches.ts');
  return Caches.open(options, surroundings);
}

async function openCacheMounts(
  options: BuildOptions,
  session: Session,
  platform: Platform,
): Promise<BuildCacheMounts | undefined> {
  const { cacheMountsFrom = [], cacheMountsTo = [] } = options;
  if (cacheMountsFrom.length + cacheMountsTo.length === 0) return undefined;
  const { BuildCacheMounts: Mounts } = await import('./cache-mounts.ts');
  return Mounts.open(options, session, platform);
}

async function openGate(
  needles: readonly Needle[],
  { allow }: ExecSettings,
  { store, emit }: Session,
): Promise<SecretGate> {
  const { SecretGate: Gate } = await import('./secret-gate.ts');
  return new Gate(needles, { allow, emit, state: store.state });
}
