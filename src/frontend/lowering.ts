import type { VertexMeta } from '../graph/vertex.ts';
import type { Digest } from '../oci/digest.ts';
import type { ImageConfig } from '../oci/config.ts';
import type { Platform } from '../oci/platform.ts';
import { BuildError } from '../util/build-error.ts';
import type { Range, SourceLocation } from '../util/source.ts';
import type { StageBase } from './bases.ts';
import type { NamedContext } from './contexts.ts';
import type { Instruction, InstructionBase } from './instruction.ts';
import type { Finding } from './checks/finding.ts';
import type { NoCache } from './no-cache.ts';
import type { ParsedDockerfile } from './parse.ts';
import { withoutCredentials } from './remote.ts';
import type { EnvList } from './scope.ts';
import { getEnv } from './scope.ts';
import type { Stage } from './stages.ts';
import type { StageState } from './state.ts';
import { suggest } from '../util/suggest.ts';
import type { VertexSet } from './vertices.ts';
import type { Expansion } from './words.ts';
import { expandWord, expandWords } from './words.ts';

/** An image that a reference was resolved to, pinned. */
export interface ResolvedImage {
  readonly reference: string;
  /** Of the manifest for the platform. */
  readonly digest: Digest;
  readonly platform: Platform;
  readonly config: ImageConfig;
  /** Nobody looked at the image: its variables may be any. */
  readonly unseen?: boolean;
}

export interface LowerOptions {
  /** Name or number of the stage to build; undefined: the last one. */
  readonly target?: string | undefined;
  /** --build-arg, with values. */
  readonly buildArgs: Readonly<Record<string, string>>;
  /** --label, applied last. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly platform: Platform;
  readonly buildPlatform: Platform;
  /** False: nobody asked for a platform, so an image is for what its base is for (L-FROM-5). */
  readonly platformIsExplicit: boolean;
  /** Whether steps of a platform can run here; default: the build platform alone. */
  readonly runsHere?: ((platform: Platform) => boolean | Promise<boolean>) | undefined;
  readonly noCache?: boolean | undefined;
  /** Stages whose steps run even when their result is known. */
  readonly noCacheFilter?: readonly string[] | undefined;
  /** The line of an instruction: it, the later ones of its stage and what depends on them run even when their result is known. */
  readonly noCacheFrom?: number | undefined;
  /** For RUNs without --network. */
  readonly network?: 'default' | 'none' | 'host' | undefined;
  readonly hostname?: string | undefined;
  /** --build-context: found before the registry (L-FROM-3). */
  readonly namedContexts: Readonly<Record<string, NamedContext>>;
  /** What SOURCE_DATE_EPOCH named: it may be one of these. */
  readonly timeFrom?: string | undefined;
  /** Lowers the stages that the target does not reach as well, for what the checks find in them. */
  readonly allStages?: boolean | undefined;
  /** What of the ignore file excludes a path of the main context: shown to the user; undefined: it is not excluded. */
  readonly ignoredBy?: ((path: string) => string | undefined) | undefined;
  readonly resolveImage: (
    reference: string,
    platform: Platform,
    location: SourceLocation | undefined,
  ) => Promise<ResolvedImage>;
  /** Short names of images that need no registry; asked for when a name is none, to suggest one. */
  readonly localImages?: (() => Promise<readonly string[]>) | undefined;
}

/** What all stages of one build share while they are lowered. */
export interface Lowering {
  readonly file: ParsedDockerfile;
  readonly options: LowerOptions;
  readonly globals: EnvList;
  /** By stage. */
  readonly bases: readonly StageBase[];
  readonly vertices: VertexSet;
  readonly noCache: NoCache;
  /** A stage's last state; made once. */
  readonly stage: (index: number) => Promise<StageState>;
  /** The vertex of the main build context. */
  readonly context: () => Digest;
  /** Resolves once per reference and platform. */
  readonly resolve: (
    reference: string,
    platform: Platform,
    location: SourceLocation | undefined,
  ) => Promise<ResolvedImage>;
  readonly report: (rule: string, finding: Finding) => void;
  /** Keeps a fault of an instruction, so that those of the others are found too; rethrows what is none. */
  readonly fault: (error: unknown) => void;
  /** Says that a --build-arg was of use. */
  readonly useArg: (name: string) => void;
  /** Notes that a --build-context was found by its name. */
  readonly useContext: (name: string) => void;
}

/** One instruction of a stage being lowered. */
export interface Step {
  readonly lowering: Lowering;
  readonly stage: Stage;
  readonly instruction: Instruction;
  /** Tells of the next step: its name, `[build 2/5] RUN make`, from what follows the bracket, and its place. */
  readonly label: (title: string) => StepLabel;
  readonly ignoreCache: boolean;
  /** The variables that were looked up while its words were expanded. */
  readonly variables: Map<string, string | undefined>;
}

export type StepLabel = Required<Pick<VertexMeta, 'name' | 'place'>>;

/** What people are told of the step's vertex. */
export function metaOf(step: Step, title: string): VertexMeta & { readonly rank: number } {
  const variables = [...step.variables].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    ...step.label(title),
    source: locate(step.instruction),
    rank: step.stage.index,
    ...(variables.length === 0 ? {} : { variables }),
    ...(step.ignoreCache ? { ignoreCache: true } : {}),
  };
}

/** An instruction as step names show it. */
export function titleOf(instruction: InstructionBase): string {
  const rest = withoutCredentials(instruction.text.slice(instruction.keyword.text.length).trim());
  return `${instruction.keyword.text.toUpperCase()} ${rest}`;
}

/** Where a word stands. */
export function locate(instruction: InstructionBase, range: Range = instruction.range): SourceLocation {
  return { source: instruction.source, range };
}

/** An error about a place of an instruction. */
export function faultAt(
  instruction: InstructionBase,
  message: string,
  more: { readonly range?: Range; readonly hint?: string | undefined } = {},
): BuildError {
  return new BuildError('DOCKERFILE_BAD_ARGUMENT', message, {
    source: locate(instruction, more.range),
    hint: more.hint,
  });
}

/** Expands the words of one instruction with the values before it (L-VAR-11); faults get the word's place. */
export interface Expander {
  readonly word: (word: { readonly text: string; readonly range: Range }) => string;
  readonly words: (word: { readonly text: string; readonly range: Range }) => readonly string[];
  readonly expansion: (range: Range) => Expansion;
}

export function expanderFor(step: Step, state: StageState): Expander {
  const { lowering, instruction } = step;
  const expansion = (range: Range): Expansion => ({
    // Of triggers too, although they are parsed with a backslash: so BuildKit does it.
    escape: lowering.file.directives.escape,
    lookup: (name) => {
      const value = getEnv(state.env, name);
      step.variables.set(name, value);
      return value;
    },
    onUndefined: (name) => {
      if (state.unseenBase || state.args.some(([known]) => known === name)) return;
      const near = suggest(
        name,
        state.env.map(([known]) => known),
      );
      lowering.report('UndefinedVar', {
        about: instruction,
        range,
        message: `\`$${name}\` is not set by any ARG or ENV`,
        hint: near === undefined ? undefined : `did you mean \`$${near}\`?`,
      });
    },
  });
  return {
    expansion,
    word: (word) => placed(instruction, word.range, () => expandWord(word.text, expansion(word.range))),
    words: (word) => placed(instruction, word.range, () => expandWords(word.text, expansion(word.range))),
  };
}

/** Runs something that may throw a BuildError without a place, and gives it one. */
export function placed<T>(instruction: InstructionBase, range: Range, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof BuildError ? error.at(locate(instruction, range)) : error;
  }
}
