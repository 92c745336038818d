import type { Digest } from '../oci/digest.ts';
import type { Platform } from '../oci/platform.ts';
import { formatPlatform } from '../oci/platform.ts';
import { familiarReference, formatReference, parseReference } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import type { Word } from './lex.ts';
import type { Lowering, LowerOptions, ResolvedImage, Step } from './lowering.ts';
import { locate, placed } from './lowering.ts';
import { ownValue } from './scope.ts';
import { findStage } from './stages.ts';
import { suggest } from './suggest.ts';

export type NamedContext = LowerOptions['namedContexts'][string];

/** The --build-context for a name: that for the platform first, then the name as written, then in its short form (L-FROM-3). */
export function findContext(
  contexts: LowerOptions['namedContexts'],
  name: string,
  platform: Platform,
): { readonly name: string; readonly context: NamedContext } | undefined {
  const names = [name, name.toLowerCase()];
  try {
    names.push(familiarReference(parseReference(name)).replace(/:latest$/, ''));
  } catch {
    // A context may have a name that no image could have.
  }
  const keys = names.flatMap((key) => [`${key}::${formatPlatform(platform)}`, key]);
  for (const key of keys) {
    const context = ownValue(contexts, key);
    if (context !== undefined) return { name: key, context };
  }
  return undefined;
}

/**
 * The filesystem that a `--from` names: an earlier stage, a named context or an image (L-COPY-3); undefined: it is empty.
 * Throws DOCKERFILE_UNKNOWN_STAGE for a stage that comes later.
 */
export async function inputOf(from: Word, step: Step, platform: Platform): Promise<Digest | undefined> {
  const { lowering, stage, instruction } = step;
  const location = locate(instruction, from.range);
  const { stages } = lowering.file;
  const replaced = findContext(lowering.options.namedContexts, from.text, platform);
  const named = findStage(stages, from.text, { before: stage.index, byIndex: true });
  if (named !== undefined) return (await lowering.stage(named.index)).vertex;
  if (replaced !== undefined) return contextInput(replaced, step, platform);
  if (from.text.toLowerCase() === 'scratch') return undefined;
  const later = findStage(stages, from.text, { byIndex: true });
  if (later !== undefined || /^\d+$/.test(from.text)) {
    const message =
      later === undefined
        ? `there is no stage ${from.text}`
        : later.index === stage.index
          ? `the stage \`${from.text}\` would depend on itself: circular dependency`
          : `the stage \`${from.text}\` comes later; it needs to be defined before the current stage`;
    throw new BuildError('DOCKERFILE_UNKNOWN_STAGE', message, {
      source: location,
      hint: later === undefined ? `stages are numbered from 0; this one is ${stage.index}` : undefined,
    });
  }
  const reference = placed(instruction, from.range, () => readName(from.text, lowering, stage.index));
  const image = await resolveNamed(reference, { text: from.text, step, range: from.range, platform });
  return imageVertex(lowering, image, {
    name: `FROM ${image.reference}`,
    source: location,
    rank: stage.index,
  });
}

async function contextInput(
  found: { readonly name: string; readonly context: NamedContext },
  step: Step,
  platform: Platform,
): Promise<Digest> {
  const { lowering, stage, instruction } = step;
  if (found.context.kind === 'tree') return treeVertex(lowering, found.name, stage.index);
  const image = await lowering.resolve(found.context.reference, platform, locate(instruction));
  return imageVertex(lowering, image, {
    name: `[context ${found.name}] ${image.reference}`,
    rank: stage.index,
  });
}

export function treeVertex(lowering: Lowering, name: string, rank: number): Digest {
  return lowering.vertices.add({ kind: 'context', name }, [], { name: `[context ${name}] load`, rank });
}

export function imageVertex(
  lowering: Lowering,
  image: ResolvedImage,
  about: Parameters<Lowering['vertices']['add']>[2],
): Digest {
  const { reference, digest, platform } = image;
  return lowering.vertices.add({ kind: 'image', reference, digest, platform }, [], about);
}

/** An image's name in full; a fault says which stage was perhaps meant. */
function readName(text: string, lowering: Lowering, before: number): string {
  try {
    return formatReference(parseReference(text));
  } catch (error) {
    const near = nearStage(text, lowering, before);
    if (!(error instanceof BuildError) || near === undefined) throw error;
    throw new BuildError(error.code, error.message, { hint: near });
  }
}

function nearStage(text: string, lowering: Lowering, before: number): string | undefined {
  const earlier = lowering.file.stages.slice(0, before);
  const near = suggest(
    text,
    earlier.flatMap(({ name }) => name ?? []),
  );
  const stage = earlier.find(({ name }) => name === near);
  if (near === undefined || stage === undefined) return undefined;
  return `did you mean \`${near}\` (line ${stage.from.range.start.line})?`;
}

/** Resolves an image that the Dockerfile names; when there is none, a stage of nearly that name is pointed at. */
export async function resolveNamed(
  reference: string,
  about: {
    readonly text: string;
    readonly step: Step;
    readonly range: Word['range'];
    readonly platform: Platform;
  },
): Promise<ResolvedImage> {
  const { lowering, stage, instruction } = about.step;
  const location = locate(instruction, about.range);
  try {
    return await lowering.resolve(reference, about.platform, location);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    const near = about.text.includes('/') ? undefined : nearStage(about.text, lowering, stage.index);
    const unknown = error.code === 'IMAGE_NOT_FOUND' || error.code === 'REGISTRY_UNAUTHORIZED';
    if (near === undefined || !unknown) throw error.at(location);
    throw new BuildError('DOCKERFILE_UNKNOWN_STAGE', `\`${about.text}\` names no stage and no image`, {
      hint: near,
      source: location,
      cause: error,
    });
  }
}
