import { formatPlatform, parsePlatform } from '../oci/platform.ts';
import type { Platform } from '../oci/platform.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import { unreachable } from './unreachable.ts';
import type { FromInstruction, Instruction } from './instruction.ts';
import { findingAt } from './lint.ts';
import {
  lowerArg,
  lowerCommand,
  lowerHealthcheck,
  lowerList,
  lowerOnbuild,
  lowerPairs,
  lowerShell,
  lowerWord,
} from './lower-config.ts';
import { lowerCopy, lowerWorkdir } from './lower-copy.ts';
import type { NamedContext } from './lower-inputs.ts';
import { findContext, imageVertex, resolveNamed, treeVertex } from './lower-inputs.ts';
import { lowerRun } from './lower-run.ts';
import type { Lowering, ResolvedImage, Step } from './lowering.ts';
import { faultAt, locate, placed } from './lowering.ts';
import { parseTrigger } from './parse.ts';
import type { EnvList } from './scope.ts';
import { defaultPath, formatEnv, getEnv, readEnv, setEnv } from './scope.ts';
import type { Stage } from './stages.ts';
import { findStage } from './stages.ts';
import type { StageState } from './state.ts';
import { withConfig } from './state.ts';
import { expandWord } from './words.ts';

type StageInstruction = Exclude<Instruction, FromInstruction>;

/** A base before its ONBUILD triggers ran; `label` is what the FROM step and the triggers' source are called by. */
interface Base {
  readonly state: StageState;
  readonly label: string;
}

/** Lowers one stage: its base, the base's ONBUILD triggers, then its instructions in order. */
export async function lowerStage(lowering: Lowering, stage: Stage): Promise<StageState> {
  const { options, file } = lowering;
  const platform = stagePlatform(lowering, stage);
  const replacing =
    stage.name === undefined ? undefined : findContext(options.namedContexts, stage.name, platform);
  if (replacing !== undefined) return (await contextBase(lowering, stage, { ...replacing, platform })).state;
  // The stages that this one reads start side by side; each is made once.
  const needed = neededStages(stage, file.stages).map((index) => lowering.stage(index));
  const [base] = await Promise.all([lowerBase(lowering, stage, platform), ...needed]);
  const triggers = (base.state.config.OnBuild ?? []).flatMap((text) =>
    parseTrigger({ name: `ONBUILD of ${base.label}`, text }),
  );
  const instructions: readonly StageInstruction[] = [...triggers, ...stage.instructions];
  const names = stepNames(lowering, stage, { platform: base.state.platform, instructions });
  names(`FROM ${base.label}`);
  const ignoreCache = ignoresCache(lowering, stage);
  let state: StageState = withConfig(base.state, { OnBuild: undefined });
  for (const instruction of instructions) {
    const fromBase = instruction.source !== file.source;
    const nameOf = (title: string): string => names(fromBase ? `ONBUILD ${title}` : title);
    try {
      state = await lowerInstruction(state, { lowering, stage, instruction, nameOf, ignoreCache });
    } catch (error) {
      lowering.fault(error);
      // Without this name the faults that follow would be about its absence.
      if (instruction.kind === 'arg' || instruction.kind === 'env') break;
    }
  }
  return state;
}

function lowerInstruction(state: StageState, step: Step): StageState | Promise<StageState> {
  const { instruction } = step;
  switch (instruction.kind) {
    case 'run':
      return lowerRun(state, instruction, step);
    case 'copy':
    case 'add':
      return lowerCopy(state, instruction, step);
    case 'workdir':
      return lowerWorkdir(state, { ...instruction, kind: 'workdir' }, step);
    case 'arg':
      return lowerArg(state, instruction, step);
    case 'env':
    case 'label':
      return lowerPairs(state, instruction, step);
    case 'cmd':
    case 'entrypoint':
      return lowerCommand(state, instruction, step);
    case 'shell':
      return lowerShell(state, instruction);
    case 'onbuild':
      return lowerOnbuild(state, instruction);
    case 'healthcheck':
      return lowerHealthcheck(state, instruction);
    case 'expose':
    case 'volume':
      return lowerList(state, instruction, step);
    case 'user':
    case 'stopsignal':
    case 'maintainer':
      return lowerWord(state, instruction, step);
    case 'from':
      return state;
    default:
      return unreachable(instruction);
  }
}

/** The stages that `--from` and `from=` of a stage name literally. */
function neededStages(stage: Stage, stages: readonly Stage[]): readonly number[] {
  const found = new Set<number>();
  for (const instruction of stage.instructions) {
    const names: (string | undefined)[] =
      instruction.kind === 'copy'
        ? [instruction.from?.text]
        : instruction.kind === 'run'
          ? instruction.mounts.map((mount) => mount.options.findLast(({ key }) => key === 'from')?.value)
          : [];
    for (const name of names) {
      const needed =
        name === undefined ? undefined : findStage(stages, name, { before: stage.index, byIndex: true });
      if (needed !== undefined) found.add(needed.index);
    }
  }
  return [...found];
}

function ignoresCache({ options }: Lowering, stage: Stage): boolean {
  const filter = (options.noCacheFilter ?? []).map((name) => name.toLowerCase());
  if (filter.length === 0) return options.noCache === true;
  return filter.includes(stage.name ?? '') || filter.includes(String(stage.index));
}

/** Makes step names in order: `[build 2/5] RUN make`; a stage without a name has its number where there are several (U-6). */
function stepNames(
  { options, file }: Lowering,
  stage: Stage,
  { platform, instructions }: { platform: Platform; instructions: readonly StageInstruction[] },
): (title: string) => string {
  const counted = instructions.filter(({ kind }) => ['run', 'copy', 'add', 'workdir'].includes(kind));
  const total = String(counted.length + 1);
  const foreign = formatPlatform(platform) !== formatPlatform(options.buildPlatform);
  const name = stage.name ?? (file.stages.length > 1 ? `stage-${stage.index}` : undefined);
  const prefix = [
    ...(foreign ? [formatPlatform(platform)] : []),
    ...(name === undefined ? [] : [name]),
    '',
  ].join(' ');
  let index = 0;
  return (title) => `[${prefix}${String(++index).padStart(total.length)}/${total}] ${title}`;
}

function globalWord(lowering: Lowering, from: FromInstruction, word: FromInstruction['image']): string {
  return placed(from, word.range, () =>
    expandWord(word.text, {
      escape: lowering.file.directives.escape,
      lookup: (name) => getEnv(lowering.globals, name),
    }),
  );
}

function stagePlatform(lowering: Lowering, { from }: Stage): Platform {
  const text = from.platform === undefined ? '' : globalWord(lowering, from, from.platform);
  if (text === '') return lowering.options.platform;
  try {
    return parsePlatform(text);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    throw faultAt(from, error.message, {
      hint: error.hint,
      ...(from.platform === undefined ? {} : { range: from.platform.range }),
    });
  }
}

async function lowerBase(lowering: Lowering, stage: Stage, platform: Platform): Promise<Base> {
  const { from } = stage;
  const text = globalWord(lowering, from, from.image);
  if (text === '') {
    throw faultAt(from, `\`${from.image.text}\` is empty: FROM needs an image`, {
      range: from.image.range,
      hint: 'give the ARG before FROM a default value, or pass --build-arg',
    });
  }
  const earlier = findStage(lowering.file.stages, text, { before: stage.index, byIndex: false });
  if (earlier !== undefined) {
    const state = await lowering.stage(earlier.index);
    return { label: earlier.name ?? text, state: { ...state, hasCmd: false } };
  }
  if (text.toLowerCase() === 'scratch') return { label: 'scratch', state: emptyState(platform) };
  const named = findContext(lowering.options.namedContexts, text, platform);
  if (named !== undefined) return contextBase(lowering, stage, { ...named, platform });
  const reference = placed(from, from.image.range, () => formatReference(parseReference(text)));
  const step = { lowering, stage, instruction: from, nameOf: (title: string) => title, ignoreCache: false };
  const image = await resolveNamed(reference, { text, step, range: from.image.range, platform });
  return imageBase(lowering, stage, { image, platform, label: reference });
}

async function contextBase(
  lowering: Lowering,
  stage: Stage,
  { name, context, platform }: { name: string; context: NamedContext; platform: Platform },
): Promise<Base> {
  if (context.kind === 'tree') {
    const vertex = treeVertex(lowering, name, stage.index);
    return { label: name, state: { ...emptyState(platform), vertex } };
  }
  const image = await lowering.resolve(context.reference, platform, locate(stage.from));
  return imageBase(lowering, stage, { image, platform, label: image.reference });
}

function imageBase(
  lowering: Lowering,
  stage: Stage,
  { image, platform, label }: { image: ResolvedImage; platform: Platform; label: string },
): Base {
  const { options } = lowering;
  const differs = image.platform.os !== platform.os || image.platform.architecture !== platform.architecture;
  if (differs && (options.platformIsExplicit || stage.from.platform !== undefined)) {
    lowering.report(
      'InvalidBaseImagePlatform',
      findingAt(
        stage.from,
        `\`${label}\` is for ${formatPlatform(image.platform)}, but ${formatPlatform(platform)} was asked for`,
        { range: stage.from.image.range },
      ),
    );
  }
  const name = stepNames(lowering, stage, {
    platform: image.platform,
    instructions: stepsOf(image, stage, label),
  });
  const vertex = imageVertex(lowering, image, {
    name: name(`FROM ${label}`),
    source: locate(stage.from),
    rank: stage.index,
  });
  const { config } = image;
  const env = withPath(readEnv(config.config?.Env ?? []));
  return {
    label,
    state: withConfig(
      {
        ...emptyState(differs ? image.platform : platform),
        vertex,
        config: config.config ?? {},
        author: config.author,
        env,
        baseHistory: config.history ?? [],
      },
      { Env: formatEnv(env) },
    ),
  };
}

function stepsOf(image: ResolvedImage, stage: Stage, label: string): readonly StageInstruction[] {
  const triggers = (image.config.config?.OnBuild ?? []).flatMap((text) =>
    parseTrigger({ name: `ONBUILD of ${label}`, text }),
  );
  return [...triggers, ...stage.instructions];
}

function emptyState(platform: Platform): StageState {
  const env = withPath([]);
  return {
    vertex: undefined,
    config: { Env: formatEnv(env), WorkingDir: '/' },
    author: undefined,
    env,
    args: [],
    hasCmd: false,
    platform,
    baseHistory: [],
    history: [],
  };
}

function withPath(env: EnvList): EnvList {
  return getEnv(env, 'PATH') === undefined ? setEnv(env, 'PATH', defaultPath) : env;
}
