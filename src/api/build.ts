import { resolve } from 'node:path';
import { withoutCredentials } from '../frontend/remote.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import type { Emit, VertexEvent } from '../progress/event.ts';
import type { Needle } from '../util/secret-needles.ts';
import type { ExportRequest } from './export-all.ts';
import { checkOutputs, checkPushRights, exportAll, isPushed, layerCompression } from './export-all.ts';
import type { EarlyPush } from './early-push.ts';
import { isUrl, sourceOf } from './explaining.ts';
import { defaultLimits } from './history/build-files.ts';
import { BuildRecorder } from './history/build-recorder.ts';
import { imageConfig, ownLayers } from './image-config.ts';
import type { PreparedBuild } from './prepare-build.ts';
import { prepareBuild } from './prepare-build.ts';
import { layersOf } from './result.ts';
import type { Session } from './session.ts';
import { withSession } from './session.ts';
import type { TimeLimit } from './time-limit.ts';
import { timeLimit } from './time-limit.ts';
import type { BuildOptions, BuildResult } from './types.ts';
import { withMaskedSecrets } from './with-masked-secrets.ts';

/**
 * Builds an image from a Dockerfile and a context: parse, lower, solve, export.
 *
 * Rejects with a BuildError for everything that the user can cause; then nothing of the output was written, and no process, mount or
 * temporary file is left. Several builds may run at once, in this process and in others, on the same store.
 */
export function build(options: BuildOptions): Promise<BuildResult> {
  // The last counts: steps whose cache proves broken are run after all.
  const ends = new Map<string, VertexEvent['state']>();
  const limit = timeLimit(options.timeout, options.signal);
  let recorder: BuildRecorder | undefined;
  const onEvent: Emit = (event) => {
    limit.watch(event);
    if (event.type === 'vertex' && event.id.startsWith('sha256:')) ends.set(event.id, event.state);
    recorder?.event(event);
    options.onEvent?.(event);
  };
  return withMaskedSecrets({ ...options, onEvent, signal: limit.signal }, (masked, needles) =>
    withSession(masked, async (session) => {
      recorder = startRecorder(options, session.store.root);
      const result = {
        ...(await runBuild(masked, session, { needles, limit, recorder })),
        steps: counted(ends),
      };
      if (session.store.isWorking()) {
        const { collectAfterBuild } = await import('./gc.ts');
        await collectAfterBuild(masked, session);
      }
      return result;
    }),
  )
    .then((result) => {
      recorder?.end(result);
      return result;
    })
    .catch((error: unknown) => {
      const explained = limit.explain(error);
      recorder?.end({ error: explained });
      throw explained;
    })
    .finally(() => limit[Symbol.dispose]());
}

function counted(ends: ReadonlyMap<string, VertexEvent['state']>): BuildResult['steps'] {
  const count = (wanted: VertexEvent['state']): number =>
    [...ends.values()].filter((state) => state === wanted).length;
  return { cached: count('cached'), run: count('done') };
}

/** undefined: this build is not to be in the history. */
function startRecorder(options: BuildOptions, root: string): BuildRecorder | undefined {
  const { context = '.', dockerfile, history = defaultLimits, target, tags = [] } = options;
  if (history === false) return undefined;
  const shown = (spec: unknown, otherwise: string): string =>
    typeof spec === 'string' ? withoutCredentials(spec) : otherwise;
  const place = shown(context, '-');
  const about = {
    source: sourceOf(options),
    // Whoever looks at the history may do so from another directory.
    context: place === '-' || isUrl(place) ? place : resolve(place),
    dockerfile: shown(dockerfile, dockerfile === undefined ? 'Dockerfile' : '-'),
    ...{ target, names: tags.map(canonical) },
  };
  return new BuildRecorder(root, about, history);
}

/** The name as the finished build has it; one that is none ends the build later, with an error that says why. */
function canonical(tag: string): string {
  try {
    return formatReference(parseReference(tag));
  } catch {
    return tag;
  }
}

async function runBuild(
  options: BuildOptions,
  session: Session,
  about: {
    readonly needles: readonly Needle[] | undefined;
    readonly limit: TimeLimit;
    readonly recorder: BuildRecorder | undefined;
  },
): Promise<BuiltImage> {
  const { needles, limit, recorder } = about;
  const outputs = checkOutputs(options, session.store.root);
  await using prepared = await prepareBuild(options, session, {
    needles,
    buildId: recorder?.id,
    compression: layerCompression(outputs),
    check: () => checkPushRights({ options, outputs, session }),
  });
  const { lowered, platform } = prepared.plan;
  limit.planned(lowered.definition);
  recorder?.planned(lowered.definition, platform);
  await using early = await openEarlyPush(prepared, { options, outputs, session });
  const attempt = (): Promise<BuiltImage> => solveAndExport(prepared, { options, outputs, session, early });
  for (let broken = 0; ;) {
    try {
      return await attempt();
    } catch (error) {
      session.signal.throwIfAborted();
      // Layers of a cache are read when they are needed: one that is broken shows then, and its steps are run after all.
      const now = prepared.caches?.imports?.broken ?? 0;
      if (now === broken) throw error;
      broken = now;
    }
  }
}

/** undefined: nothing is pushed. */
async function openEarlyPush(
  prepared: PreparedBuild,
  request: Pick<ExportRequest, 'options' | 'outputs' | 'session'>,
): Promise<EarlyPush | undefined> {
  if (!request.outputs.some(isPushed)) return undefined;
  const { EarlyPush: Early } = await import('./early-push.ts');
  return Early.open(prepared, request);
}

type BuiltImage = Omit<BuildResult, 'steps'>;

async function solveAndExport(
  prepared: PreparedBuild,
  { options, outputs, session, early }: Pick<ExportRequest, 'options' | 'outputs' | 'session' | 'early'>,
): Promise<BuiltImage> {
  const { plan, bases, gate, settings, caches, mounts } = prepared;
  const solved = await prepared.solve(undefined, { onResult: early?.result });
  const layers = layersOf(solved.result);
  const own = ownLayers(plan.image, layers);
  if (own.some(({ layer }) => layer.leaks !== undefined)) {
    const { refuseKnownLeaks } = await import('./secret-gate.ts');
    refuseKnownLeaks(own, settings.allow);
  }
  await gate?.checkLayers(own, session.signal);
  await caches?.fetch(layers, outputs);
  const config = imageConfig(plan.image, layers, plan.sourceDateEpoch);
  const exported = await exportAll({
    options,
    outputs,
    session,
    early,
    plan,
    config,
    layers,
    origins: caches?.origins(layers) ?? bases.origins,
    configKeys: caches?.configKeys(solved.keys, layers),
  });
  await caches?.export(solved.keys);
  await mounts?.export(plan.lowered.definition, prepared.steps);
  return { ...exported, diagnostics: plan.diagnostics };
}
