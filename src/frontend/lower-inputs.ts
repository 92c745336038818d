import type { Digest } from '../oci/digest.ts';
import type { Platform } from '../oci/platform.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import type { NamedContext } from './contexts.ts';
import { findContext } from './contexts.ts';
import type { Word } from './lex.ts';
import type { Lowering, ResolvedImage, Step } from './lowering.ts';
import { faultAt, locate } from './lowering.ts';
import { findStage } from './stages.ts';
import { suggest } from '../util/suggest.ts';

/**
 * The filesystem that a `--from` names: an earlier stage, a named context or an image (L-COPY-3); undefined: it is empty.
 * Throws DOCKERFILE_UNKNOWN_STAGE for a stage that comes later.
 */
export async function inputOf(from: Word, step: Step, platform: Platform): Promise<Digest | undefined> {
  const { lowering, stage, instruction } = step;
  const location = locate(instruction, from.range);
  const { stages } = lowering.file;
  // A name that several stages have is the last one's, even when that comes after this stage.
  const named = findStage(stages, from.text, { byIndex: true });
  if (named !== undefined && named.index < stage.index) return (await lowering.stage(named.index)).vertex;
  const context =
    named === undefined ? findContext(lowering.options.namedContexts, from.text, platform) : undefined;
  if (context !== undefined) return contextInput(context, step, platform);
  if (from.text === 'scratch') return undefined;
  if (named !== undefined || /^\d+$/.test(from.text)) {
    throw new BuildError(
      'DOCKERFILE_UNKNOWN_STAGE',
      named === undefined
        ? `there is no stage ${from.text}`
        : `the stage \`${from.text}\` needs to be defined before the current stage`,
      {
        source: location,
        hint:
          named === undefined
            ? `stages are numbered from 0; this one is ${stage.index}`
            : `its FROM stands on line ${named.from.range.start.line}`,
      },
    );
  }
  const reference = await readName(from, step);
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
): Promise<Digest | undefined> {
  const { lowering, stage, instruction } = step;
  lowering.useContext(found.name);
  if (found.context.kind === 'tree') return treeVertex(lowering, found.name, stage.index);
  if (found.context.reference === 'scratch') return undefined;
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

/** An image's name in full; a fault says which name was perhaps meant. */
async function readName(from: Word, step: Step): Promise<string> {
  try {
    return formatReference(parseReference(from.text));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    const near = await nearName(from.text, step);
    throw faultAt(step.instruction, error.message, { range: from.range, hint: near?.hint ?? error.hint });
  }
}

/** The stage, build context or local image that a name most likely means. */
async function nearName(
  text: string,
  { lowering, stage }: Step,
): Promise<{ readonly isImage: boolean; readonly hint: string } | undefined> {
  const { file, options } = lowering;
  const earlier = file.stages.slice(0, stage.index);
  const names = earlier.flatMap(({ name }) => name ?? []);
  const contexts = Object.keys(options.namedContexts).map((key) => key.replace(/::.*$/, ''));
  const later = findStage(file.stages, text, { byIndex: false });
  if (later !== undefined) {
    const { line } = later.from.range.start;
    return {
      isImage: false,
      hint: `the stage \`${text}\` (line ${line}) comes later; only earlier ones can be used`,
    };
  }
  const near = suggest(text, [...names, ...contexts]);
  if (near !== undefined) {
    const line = earlier.find(({ name }) => name === near)?.from.range.start.line;
    return {
      isImage: false,
      hint: `did you mean \`${near}\` (${line === undefined ? 'a build context' : `line ${line}`})?`,
    };
  }
  const image = suggest(text, (await options.localImages?.()) ?? []);
  return image === undefined
    ? undefined
    : { isImage: true, hint: `did you mean \`${image}\`, which the store has?` };
}

/** Which stages could have been named. */
function stagesHint({ lowering, stage }: Step): string | undefined {
  const names = lowering.file.stages.slice(0, stage.index).flatMap(({ name }) => name ?? []);
  if (names.length === 0) return undefined;
  const shown = [...new Set(names)].slice(-5).map((name) => `\`${name}\``);
  return `the stages before this one are ${shown.join(', ')}`;
}

function joined(...hints: readonly (string | undefined)[]): string | undefined {
  const given = hints.filter((hint) => hint !== undefined);
  return given.length === 0 ? undefined : given.join('; ');
}

/** Codes of a registry's answer that leave open whether a name was meant for it. */
const unknownName: ReadonlySet<string> = new Set([
  'IMAGE_NOT_FOUND',
  'REGISTRY_UNAUTHORIZED',
  'REGISTRY_UNREACHABLE',
]);

/**
 * Resolves an image that the Dockerfile names. A name that could be a stage's and is no image reads as what it is, with what was tried,
 * not as a trouble of the network.
 */
export async function resolveNamed(
  reference: string,
  about: {
    readonly text: string;
    readonly step: Step;
    readonly range: Word['range'];
    readonly platform: Platform;
  },
): Promise<ResolvedImage> {
  const { lowering, instruction } = about.step;
  const source = locate(instruction, about.range);
  try {
    return await lowering.resolve(reference, about.platform, source);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    if (!unknownName.has(error.code)) throw error.at(source);
    const near = await nearName(about.text, about.step);
    const hint = near?.hint ?? error.hint;
    const { details } = error;
    if (about.text.includes('/'))
      throw new BuildError(error.code, error.message, { hint, source, details, cause: error });
    throw new BuildError(
      near?.isImage === false ? 'DOCKERFILE_UNKNOWN_STAGE' : error.code,
      `\`${about.text}\` names no stage, no build context and no image of the store; as an image of a registry: ${error.message}`,
      { hint: near?.hint ?? joined(stagesHint(about.step), error.hint), source, details, cause: error },
    );
  }
}
