import type { LoweredImage, LowerOptions, LowerResult } from '../frontend/lower.ts';
import { lower } from '../frontend/lower.ts';
import { parseDockerfile } from '../frontend/parse.ts';
import type { Diagnostic } from '../progress/event.ts';
import { hostPlatform, parsePlatform } from '../oci/platform.ts';
import type { Platform } from '../oci/platform.ts';
import { familiarReference, parseReference } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import type { BaseImages } from './base-images.ts';
import type { BuildContexts } from './contexts.ts';
import { internalStep } from './internal-step.ts';
import { runsHere } from './runs-here.ts';
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
  const epoch = sourceDateEpoch(options, session.env);
  const file = await contexts.main.dockerfile();
  const parsed = await internalStep(session.emit, `[internal] load build definition from ${file.name}`, () =>
    Promise.resolve(parseDockerfile(file)),
  );
  const lowered = await lower(parsed, {
    ...lowerOptions(options, session.env, contexts.named),
    resolveImage: (reference, forPlatform, source) => bases.resolve(reference, forPlatform, source),
    localImages: async () =>
      (await session.store.images.list()).flatMap(({ name }) =>
        name === undefined ? [] : familiarReference(parseReference(name)).replace(/:latest$/, ''),
      ),
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

/** What lowering is told of the options; who resolves images is the caller's choice. */
export function lowerOptions(
  options: BuildOptions,
  env: NodeJS.ProcessEnv,
  namedContexts: LowerOptions['namedContexts'],
): Omit<LowerOptions, 'resolveImage'> {
  const wanted = options.platform ?? env.DOCKER_DEFAULT_PLATFORM;
  const isExplicit = wanted !== undefined && wanted !== '';
  const epoch = sourceDateEpoch(options, env);
  return {
    target: options.target,
    buildArgs: {
      ...(epoch === undefined ? {} : { SOURCE_DATE_EPOCH: String(epoch) }),
      ...options.buildArgs,
    },
    labels: options.labels ?? {},
    platform: isExplicit ? parsePlatform(wanted) : hostPlatform(),
    buildPlatform: hostPlatform(),
    platformIsExplicit: isExplicit,
    runsHere,
    noCache: options.noCache ?? false,
    noCacheFilter: options.noCacheFilter ?? [],
    network: options.network ?? 'default',
    namedContexts,
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
