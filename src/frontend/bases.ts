import { parsePlatform } from '../oci/platform.ts';
import type { Platform } from '../oci/platform.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import type { NamedContext } from './contexts.ts';
import { findContext } from './contexts.ts';
import type { FromInstruction } from './instruction.ts';
import type { Word } from './lex.ts';
import { faultAt, locate } from './lowering.ts';
import type { LowerOptions } from './lowering.ts';
import type { ParsedDockerfile } from './parse.ts';
import type { EnvList } from './scope.ts';
import { getEnv } from './scope.ts';
import type { Stage } from './stages.ts';
import { findStage } from './stages.ts';
import { didYouMean } from '../util/suggest.ts';
import { expandWord } from './words.ts';

/** What a stage starts from (L-FROM-3). */
export type StageBase = {
  /** The name with its variables expanded. */
  readonly text: string;
  /** That of --platform, else of the build. A stage on an earlier one has the earlier one's. */
  readonly platform: Platform;
} & (
  | { readonly kind: 'stage'; readonly index: number }
  /** The empty image. */
  | { readonly kind: 'scratch' }
  /** `replaces`: the context is called like the stage, whose instructions do not count then. */
  | {
      readonly kind: 'context';
      readonly name: string;
      readonly context: NamedContext;
      readonly replaces: boolean;
    }
  /** In full: `docker.io/library/alpine:latest`. */
  | { readonly kind: 'image'; readonly reference: string }
);

/**
 * The bases of all stages, of unreachable ones too: a name or platform that cannot be is a fault wherever it stands. Nothing is resolved.
 * Faults are placed, and in source order; with some, `bases` lacks theirs.
 */
export function readBases(
  file: ParsedDockerfile,
  options: LowerOptions,
  globals: EnvList,
): { readonly bases: readonly StageBase[]; readonly faults: readonly BuildError[] } {
  const faults: BuildError[] = [];
  const bases = file.stages.flatMap((stage) => {
    try {
      return [readBase(file, stage, { options, globals })];
    } catch (error) {
      if (!(error instanceof BuildError)) throw error;
      faults.push(error.at(locate(stage.from)));
      return [];
    }
  });
  return { bases, faults };
}

function readBase(
  file: ParsedDockerfile,
  stage: Stage,
  { options, globals }: { options: LowerOptions; globals: EnvList },
): StageBase {
  const { from } = stage;
  const expand = (word: Word): string =>
    withPlace(from, word, () =>
      expandWord(word.text, {
        escape: file.directives.escape,
        lookup: (name) => getEnv(globals, name),
      }),
    );
  const text = expand(from.image);
  if (text === '') {
    throw faultAt(from, `\`${from.image.text}\` is empty: FROM needs an image`, {
      range: from.image.range,
      hint: emptyHint(from.image, globals),
    });
  }
  const platform =
    from.platform === undefined ? options.platform : readPlatform(from, from.platform, { expand, globals });
  const base = { text, platform };
  const replacing =
    stage.name === undefined ? undefined : findContext(options.namedContexts, stage.name, platform);
  if (replacing !== undefined) return { ...base, kind: 'context', ...replacing, replaces: true };
  const earlier = findStage(file.stages, text, { before: stage.index, byIndex: false });
  if (earlier !== undefined) return { ...base, kind: 'stage', index: earlier.index };
  // --platform says nothing about it: an empty image is for whatever is built (L-FROM-4).
  if (text === 'scratch') return { ...base, kind: 'scratch', platform: options.platform };
  const reference = withPlace(from, from.image, () => formatReference(parseReference(text)));
  const named = findContext(options.namedContexts, text, platform);
  return named === undefined
    ? { ...base, kind: 'image', reference }
    : { ...base, kind: 'context', ...named, replaces: false };
}

function readPlatform(
  from: FromInstruction,
  word: Word,
  { expand, globals }: { expand: (word: Word) => string; globals: EnvList },
): Platform {
  const text = expand(word);
  if (text !== '') return withPlace(from, word, () => parsePlatform(text));
  throw faultAt(from, `\`${word.text}\` is empty: --platform needs a value`, {
    range: word.range,
    hint: emptyHint(word, globals),
  });
}

/** What to do about a word of FROM whose variables are empty. */
function emptyHint(word: Word, globals: EnvList): string {
  const name = /\$\{?(\w+)/.exec(word.text)?.[1] ?? '';
  const known = globals.map(([each]) => each);
  const near = known.includes(name) ? undefined : didYouMean(name, known);
  // Only what an ARG declares can be given, and only there.
  return (
    near ??
    `before the first FROM write \`ARG ${name}=VALUE\`, or \`ARG ${name}\` and pass --build-arg ${name}=VALUE`
  );
}

/** What a text of FROM is wrong about is an error of the file, placed, whatever the reader of the text calls it. */
function withPlace<T>(from: FromInstruction, { range }: Word, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    if (error.code === 'DOCKERFILE_EXPANSION') throw error.at(locate(from, range));
    throw faultAt(from, error.message, { range, hint: error.hint });
  }
}
