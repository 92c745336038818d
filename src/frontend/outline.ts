import type { Range } from '../util/source.ts';
import { formatPlatform, parsePlatform } from '../oci/platform.ts';
import type { ArgInstruction } from './instruction.ts';
import type { Word } from './lex.ts';
import type { LowerResult } from './lower.ts';
import type { ParsedDockerfile } from './parse.ts';
import type { EnvList } from './scope.ts';
import { getEnv } from './scope.ts';
import type { Stage } from './stages.ts';
import { targetStage } from './stages.ts';
import { expandWord } from './words.ts';

/** An ARG that reaches the target. */
export interface OutlineArg {
  readonly name: string;
  readonly description?: string;
  /** Undefined: it has no value unless --build-arg gives one. */
  readonly value?: string;
  readonly range: Range;
}

/** A secret or an ssh agent that a step of the target asks for. */
export interface OutlineInput {
  readonly id: string;
  readonly required: boolean;
  readonly range?: Range;
}

/** What a build of one target takes (I-1). */
export interface StageOutline {
  readonly name?: string;
  readonly description?: string;
  readonly args: readonly OutlineArg[];
  readonly secrets: readonly OutlineInput[];
  readonly ssh: readonly OutlineInput[];
}

/** A stage that can be built (I-2). */
export interface TargetEntry {
  /** Undefined: the last stage, without a name. */
  readonly name?: string;
  readonly description?: string;
  /** It is built where no target is named. */
  readonly default: boolean;
  /** As FROM resolves it: a stage's name or an image. */
  readonly base: string;
  readonly platform?: string;
  readonly range: Range;
}

/** What of the comments describes a name: `# name what it is` directly above its FROM or ARG (L-PARSE-12, I-6). */
export function description(comments: readonly Word[], name: string | undefined): string | undefined {
  for (const { text } of name === undefined ? [] : comments) {
    const match = /^(\S+)\s+(\S[\s\S]*)$/.exec(text.trim());
    if (match?.[1]?.toLowerCase() === name?.toLowerCase()) return match?.[2];
  }
  return undefined;
}

/** Every named stage and the last one, in order. */
export function listTargets(file: ParsedDockerfile, globals: EnvList): readonly TargetEntry[] {
  const expanded = (word: Word): string => {
    try {
      return expandWord(word.text, {
        escape: file.directives.escape,
        lookup: (name) => getEnv(globals, name),
      });
    } catch {
      // Only a build needs its value, and tells the fault.
      return word.text;
    }
  };
  const last = file.stages.length - 1;
  return file.stages
    .filter(({ name, index }) => name !== undefined || index === last)
    .map(({ name, from, index }) => ({
      ...named(name, from.comments),
      default: index === last,
      base: expanded(from.image),
      ...(from.platform === undefined ? {} : { platform: normalPlatform(expanded(from.platform)) }),
      range: from.range,
    }));
}

/** What the target takes: the ARGs of the stages that it needs, those of FROM included, and the inputs of their steps. */
export function outlineOf(
  file: ParsedDockerfile,
  lowered: LowerResult,
  target: string | undefined,
): StageOutline {
  const stage = targetStage(file.stages, target);
  const reached = file.stages.filter(({ index }) => lowered.stages.has(index));
  return {
    ...named(stage.name, stage.from.comments),
    args: [...argsOf(file, reached, stage, lowered)].toSorted(byPlace),
    ...inputsOf(lowered),
  };
}

function named(
  name: string | undefined,
  comments: readonly Word[],
): { readonly name?: string; readonly description?: string } {
  const text = description(comments, name);
  return { ...(name === undefined ? {} : { name }), ...(text === undefined ? {} : { description: text }) };
}

function normalPlatform(text: string): string {
  try {
    return formatPlatform(parsePlatform(text));
  } catch {
    return text;
  }
}

/** Each name once: the target's own declaration before those of other stages, and the global ones of FROM last. */
function argsOf(
  file: ParsedDockerfile,
  reached: readonly Stage[],
  target: Stage,
  lowered: LowerResult,
): Iterable<OutlineArg> {
  const inFrom = globalsInFrom(file, reached);
  const ofStages = [target, ...reached].flatMap(({ index, instructions }) => {
    const values = lowered.stages.get(index)?.args ?? [];
    return instructions.flatMap((instruction) =>
      instruction.kind === 'arg'
        ? declared(instruction, (name) => values.findLast(([key]) => key === name)?.[1])
        : [],
    );
  });
  const ofFile = file.globalArgs.flatMap((instruction) =>
    declared(instruction, (name) => getEnv(lowered.globals, name)),
  );
  const found = new Map<string, OutlineArg>();
  for (const arg of [...ofStages, ...ofFile.filter(({ name }) => inFrom.has(name))])
    if (!found.has(arg.name)) found.set(arg.name, arg);
  // A name may be described where it is declared first, and only used here.
  return found.values().map((arg) => {
    const text =
      arg.description ??
      [...ofStages, ...ofFile].find((other) => other.name === arg.name && other.description !== undefined)
        ?.description;
    return text === undefined ? arg : { ...arg, description: text };
  });
}

function declared(
  instruction: ArgInstruction,
  valueOf: (name: string) => string | undefined,
): readonly OutlineArg[] {
  return instruction.args.map(({ name }) => {
    const value = valueOf(name.text);
    return {
      ...named(name.text, instruction.comments),
      name: name.text,
      ...(value === undefined ? {} : { value }),
      range: instruction.range,
    };
  });
}

/** The names of global ARGs that FROM needs, those in their defaults included. */
function globalsInFrom(file: ParsedDockerfile, stages: readonly Stage[]): ReadonlySet<string> {
  const names = new Set(
    stages.flatMap(({ from }) =>
      namesIn(file, from.platform === undefined ? [from.image] : [from.image, from.platform]),
    ),
  );
  for (const { args } of file.globalArgs.toReversed())
    for (const { name, value } of args.toReversed())
      if (names.has(name.text) && value !== undefined)
        for (const used of namesIn(file, [value])) names.add(used);
  return names;
}

function namesIn(file: ParsedDockerfile, words: readonly Word[]): readonly string[] {
  const names: string[] = [];
  const lookup = (name: string): undefined => void names.push(name);
  for (const { text } of words) {
    try {
      expandWord(text, { escape: file.directives.escape, lookup });
    } catch {
      // `${v:?}` of a name that has no value here: the name was seen.
    }
  }
  return names;
}

function inputsOf({ definition }: LowerResult): Pick<StageOutline, 'secrets' | 'ssh'> {
  const secrets = new Map<string, OutlineInput>();
  const ssh = new Map<string, OutlineInput>();
  for (const { op, meta } of definition.vertices) {
    for (const mount of op.kind === 'exec' ? op.mounts : []) {
      if (mount.type !== 'secret' && mount.type !== 'ssh') continue;
      const known = mount.type === 'secret' ? secrets : ssh;
      const before = known.get(mount.id);
      known.set(mount.id, {
        id: mount.id,
        required: mount.required || before?.required === true,
        ...(before?.range === undefined
          ? meta.source === undefined
            ? {}
            : { range: meta.source.range }
          : { range: before.range }),
      });
    }
  }
  const sorted = (inputs: ReadonlyMap<string, OutlineInput>): readonly OutlineInput[] =>
    [...inputs.values()].toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  return { secrets: sorted(secrets), ssh: sorted(ssh) };
}

function byPlace(left: OutlineArg, right: OutlineArg): number {
  return left.range.start.line - right.range.start.line || left.range.start.column - right.range.start.column;
}
