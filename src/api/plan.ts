import type { LoweredImage, LowerOptions, LowerResult } from '../frontend/lower.ts';
import { globalsOf, lower } from '../frontend/lower.ts';
import type { ParsedDockerfile } from '../frontend/parse.ts';
import { parseDockerfile } from '../frontend/parse.ts';
import { getEnv } from '../frontend/scope.ts';
import type { Diagnostic } from '../progress/event.ts';
import { formatPlatform, hostPlatform, parsePlatform } from '../oci/platform.ts';
import type { Platform } from '../oci/platform.ts';
import { familiarReference, parseReference } from '../oci/reference.ts';
import type { OpenedContext } from '../source/load-context.ts';
import { BuildError } from '../util/build-error.ts';
import type { BaseImages } from './base-images.ts';
import type { BuildContexts } from './contexts.ts';
import { internalStep } from './internal-step.ts';
import type { Session } from './session.ts';
import { resolveEpoch } from './source-date-epoch.ts';
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

/** Takes from a Dockerfile what is to be built. */
export type CutFile = (parsed: ParsedDockerfile) => ParsedDockerfile;

/** Dockerfile to graph. Resolves the base images that the target needs, and nothing else of them. */
export async function makePlan(
  options: BuildOptions,
  session: Session,
  {
    contexts,
    bases,
    cut,
  }: { readonly contexts: BuildContexts; readonly bases: BaseImages; readonly cut?: CutFile | undefined },
): Promise<Plan> {
  const file = await contexts.main.dockerfile();
  const whole = await internalStep(session.emit, `[internal] load build definition from ${file.name}`, () =>
    Promise.resolve(parseDockerfile(file)),
  );
  const parsed = cut === undefined ? whole : cut(whole);
  const given = lowerOptions(options, session.env, contexts.named);
  const timeFrom = epochText(parsed, given);
  const epoch = await resolveEpoch(timeFrom, { session, contexts, file: parsed });
  const { SOURCE_DATE_EPOCH: _, ...buildArgs } = given.buildArgs;
  const tell = (diagnostics: readonly Diagnostic[]): void => {
    for (const diagnostic of diagnostics) session.emit({ type: 'diagnostic', diagnostic });
  };
  const lowered = await lower(parsed, {
    ...given,
    timeFrom,
    buildArgs: epoch === undefined ? buildArgs : { ...buildArgs, SOURCE_DATE_EPOCH: String(epoch) },
    ignoredBy: ignoredBy(contexts.main),
    resolveImage: (reference, forPlatform, source) => bases.resolve(reference, forPlatform, source),
    localImages: async () =>
      (await session.store.images.list()).flatMap(({ name }) =>
        name === undefined ? [] : familiarReference(parseReference(name)).replace(/:latest$/, ''),
      ),
  }).catch((error: unknown) => {
    // `check=error=true`: the error shows one finding, and there may be more.
    if (error instanceof BuildError && error.code === 'CHECK_FAILED')
      tell(error.details['diagnostics'] as readonly Diagnostic[]);
    throw error;
  });
  // Of a file that was cut, checks and warnings would be wrong.
  if (cut === undefined) tell(lowered.diagnostics);
  const image = lowered.images[0];
  if (image === undefined) throw new TypeError('lowering gave no image');
  if (image.platform.os === 'windows')
    throw new BuildError(
      'UNSUPPORTED_HERE',
      'images of Windows are not built: paths and registries are other ones there',
    );
  return {
    lowered,
    image,
    platform: image.platform,
    diagnostics: lowered.diagnostics,
    sourceDateEpoch: epoch,
  };
}

/** undefined: nobody asked for one. Throws USAGE, which names the variable where the platform comes from that. */
function wantedPlatform({ platform }: BuildOptions, env: NodeJS.ProcessEnv): Platform | undefined {
  const texts = (platform ?? env.DOCKER_DEFAULT_PLATFORM ?? '').split(',').filter((text) => text !== '');
  try {
    const wanted = new Map(texts.map((text) => [formatPlatform(parsePlatform(text)), parsePlatform(text)]));
    const [first, second] = wanted.keys();
    if (second === undefined) return wanted.get(first ?? '');
    throw new BuildError(
      'USAGE',
      `one platform can be built at a time, not ${[...wanted.keys()].join(' and ')}`,
      {
        hint: 'run tsbuild once for each platform',
      },
    );
  } catch (error) {
    if (platform !== undefined || !(error instanceof BuildError)) throw error;
    throw new BuildError(error.code, `DOCKER_DEFAULT_PLATFORM: ${error.message}`, { hint: error.hint });
  }
}

/** What lowering is told of the options; who resolves images is the caller's choice. */
export function lowerOptions(
  options: BuildOptions,
  env: NodeJS.ProcessEnv,
  namedContexts: LowerOptions['namedContexts'],
): Omit<LowerOptions, 'resolveImage'> {
  const wanted = wantedPlatform(options, env);
  const epoch = options.sourceDateEpoch ?? options.buildArgs?.SOURCE_DATE_EPOCH ?? env.SOURCE_DATE_EPOCH;
  return {
    target: options.target,
    buildArgs: {
      ...options.buildArgs,
      ...(epoch === undefined || epoch === '' ? {} : { SOURCE_DATE_EPOCH: String(epoch) }),
    },
    labels: options.labels ?? {},
    platform: wanted ?? hostPlatform(),
    buildPlatform: hostPlatform(),
    platformIsExplicit: wanted !== undefined,
    runsHere: async (each) => (await import('../executor/foreign-programs.ts')).runsHere(each),
    noCache: options.noCache ?? false,
    noCacheFilter: options.noCacheFilter ?? [],
    noCacheFrom: options.noCacheFrom,
    network: options.network === 'isolated' ? 'default' : (options.network ?? 'default'),
    namedContexts,
  };
}

/**
 * What of the ignore file excludes a source of COPY, for CopyIgnoredFile. As with Docker nothing is said where a line takes something back
 * (`!`), and of the whole context only when all of it is excluded.
 */
export function ignoredBy({ ignore }: OpenedContext): LowerOptions['ignoredBy'] {
  if (ignore === undefined || ignore.patterns.some(({ negated }) => negated)) return undefined;
  const everything = ignore.patterns.find(({ text }) =>
    ['*', '**', '**/*'].includes(text.replace(/^\//, '')),
  );
  return (path) => {
    const pattern = path === '' ? everything : ignore.excluded(path);
    return pattern === undefined ? undefined : `\`${pattern.text}\` (${ignore.file}:${pattern.line})`;
  };
}

/** SOURCE_DATE_EPOCH of the options, else of an ARG before the first FROM. A faulty file is told by lowering it. */
function epochText(parsed: ParsedDockerfile, given: Omit<LowerOptions, 'resolveImage'>): string | undefined {
  const name = 'SOURCE_DATE_EPOCH';
  const declared = parsed.globalArgs.some(({ args }) => args.some((arg) => arg.name.text === name));
  if (parsed.errors.length > 0 || (given.buildArgs[name] === undefined && !declared)) return undefined;
  return getEnv(globalsOf(parsed, given), name) ?? given.buildArgs[name];
}
