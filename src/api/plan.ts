import type { LoweredImage, LowerResult } from '../frontend/lower.ts';
import { lower } from '../frontend/lower.ts';
import { parseDockerfile } from '../frontend/parse.ts';
import type { Diagnostic } from '../progress/event.ts';
import { hostPlatform, parsePlatform } from '../oci/platform.ts';
import type { Platform } from '../oci/platform.ts';
import { BuildError } from '../util/build-error.ts';
import type { BaseImages } from './base-images.ts';
import type { BuildContexts } from './contexts.ts';
import { internalStep } from './internal-step.ts';
import type { Session } from './session.ts';
import type { BuildOptions } from './types.ts';

/** What a build will do: the graph and the image that comes of it. */
export interface Plan {
  readonly lowered: LowerResult;
  readonly image: LoweredImage;
  readonly platform: Platform;
  readonly diagnostics: readonly Diagnostic[];
  /** Seconds since the epoch. */
  readonly sourceDateEpoch: number | undefined;
}

/** Dockerfile to graph. Resolves the base images that the target needs, and nothing else of them. */
export async function makePlan(
  options: BuildOptions,
  session: Session,
  { contexts, bases }: { readonly contexts: BuildContexts; readonly bases: BaseImages },
): Promise<Plan> {
  const wanted = options.platform ?? session.env.DOCKER_DEFAULT_PLATFORM;
  const platform = wanted === undefined || wanted === '' ? hostPlatform() : parsePlatform(wanted);
  const buildArgs = { ...options.buildArgs };
  const epoch = sourceDateEpoch(options, session.env);
  if (epoch !== undefined) buildArgs.SOURCE_DATE_EPOCH ??= String(epoch);
  const file = await contexts.main.dockerfile();
  const parsed = await internalStep(session.emit, `[internal] load build definition from ${file.name}`, () =>
    Promise.resolve(parseDockerfile(file)),
  );
  const lowered = await lower(parsed, {
    target: options.target,
    buildArgs,
    labels: options.labels ?? {},
    platform,
    buildPlatform: hostPlatform(),
    platformIsExplicit: wanted !== undefined && wanted !== '',
    noCache: options.noCache ?? false,
    noCacheFilter: options.noCacheFilter ?? [],
    network: options.network ?? 'default',
    namedContexts: contexts.named,
    resolveImage: (reference, forPlatform, source) => bases.resolve(reference, forPlatform, source),
  });
  for (const diagnostic of lowered.diagnostics) session.emit({ type: 'diagnostic', diagnostic });
  const image = lowered.images[0];
  if (image === undefined) throw new TypeError('lowering gave no image');
  return {
    lowered,
    image,
    platform: image.platform,
    diagnostics: lowered.diagnostics,
    sourceDateEpoch: epoch,
  };
}

function sourceDateEpoch(options: BuildOptions, env: NodeJS.ProcessEnv): number | undefined {
  if (options.sourceDateEpoch !== undefined) return options.sourceDateEpoch;
  const text = options.buildArgs?.SOURCE_DATE_EPOCH ?? env.SOURCE_DATE_EPOCH;
  if (text === undefined || text === '') return undefined;
  if (!/^\d{1,11}$/.test(text)) {
    throw new BuildError('USAGE', `SOURCE_DATE_EPOCH is \`${text}\`, which is no number of seconds`, {
      hint: 'give seconds since 1970, such as $(git log -1 --pretty=%ct)',
    });
  }
  return Number(text);
}
