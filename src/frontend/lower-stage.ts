import { formatPlatform } from '../oci/platform.ts';
import type { Platform } from '../oci/platform.ts';
import { BuildError } from '../util/build-error.ts';
import type { SourceLocation } from '../util/source.ts';
import { unreachable } from './unreachable.ts';
import type { StageBase } from './bases.ts';
import type { NamedContext } from './contexts.ts';
import type { FromInstruction, Instruction } from './instruction.ts';
import { findingAt } from './checks/check.ts';
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
import { imageVertex, resolveNamed, treeVertex } from './lower-inputs.ts';
import { lowerRun } from './lower-run.ts';
import type { Lowering, ResolvedImage, Step, StepLabel } from './lowering.ts';
import { locate } from './lowering.ts';
import { parseTrigger } from './parse.ts';
import { absolutePath } from './paths.ts';
import type { EnvList } from './scope.ts';
import { defaultPath, formatEnv, getEnv, readEnv, setEnv } from './scope.ts';
import type { Stage } from './stages.ts';
import { stagesNamedBy } from './stages.ts';
import type { StageState } from './state.ts';
import { withConfig, withHistory } from './state.ts';

type StageInstruction = Exclude<Instruction, FromInstruction>;

/** A base before its ONBUILD triggers ran; `label` is what the FROM step and the triggers' source are called by. */
interface Base {
  readonly state: StageState;
  readonly label: string;
  /** Its FROM is a step of its own. */
  readonly hasStep: boolean;
}

/** Lowers one stage: its base, the base's ONBUILD triggers, then its instructions in order. */
export async function lowerStage(lowering: Lowering, stage: Stage): Promise<StageState> {
  const { file } = lowering;
  const from = lowering.bases[stage.index];
  if (from === undefined) throw new TypeError(`stage ${stage.index} has no base`);
  if (from.kind === 'context' && from.replaces) return (await contextBase(lowering, stage, from)).state;
  // The stages that this one reads start side by side; each is made once.
  const needed = [...stagesNamedBy(stage, file.stages).keys()].filter((index) => index < stage.index);
  const [base] = await Promise.all([
    lowerBase(lowering, stage, from),
    ...needed.map((index) => lowering.stage(index)),
  ]);
  const instructions = withTriggers(stage, base.state.config.OnBuild ?? [], base.label);
  const names = stepNames(lowering, stage, { platform: base.state.platform, instructions });
  if (base.hasStep) names('FROM');
  let state: StageState = withConfig(base.state, { OnBuild: undefined });
  for (const instruction of instructions) {
    const fromBase = instruction.source !== file.source;
    const label = (title: string): StepLabel => names(fromBase ? `ONBUILD ${title}` : title);
    try {
      const lowered = await lowerInstruction(state, {
        ...{ lowering, stage, instruction, label },
        ignoreCache: lowering.noCache(stage, instruction),
        variables: new Map(),
      });
      state = { ...lowered, history: withPlaces(lowered.history, state.history, locate(instruction)) };
    } catch (error) {
      lowering.fault(fromBase ? ofTrigger(error, stage) : error);
      // Without this name the faults that follow would be about its absence.
      if (instruction.kind === 'arg' || instruction.kind === 'env') break;
    }
  }
  return state;
}

/** The history, with the place in the user's file at the entries that came after `before`. */
function withPlaces(
  history: StageState['history'],
  before: StageState['history'],
  source: SourceLocation,
): StageState['history'] {
  if (history === undefined || history === before) return history;
  return { last: { ...history.last, source }, before: withPlaces(history.before, before, source) };
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

/**
 * Makes step names in order: `[build 2/5] RUN make`; a stage without a name has its number where there are several (U-6). As with
 * BuildKit a FROM counts where it is a step: not of an earlier stage, not of `scratch`, not of a build context.
 */
function stepNames(
  { options, file, bases }: Lowering,
  stage: Stage,
  { platform, instructions }: { platform: Platform; instructions: readonly StageInstruction[] },
): (title: string) => StepLabel {
  const counted = instructions.filter(({ kind }) => ['run', 'copy', 'add', 'workdir'].includes(kind));
  const total = String(counted.length + (fromIsStep(bases[stage.index]) ? 1 : 0));
  const foreign = formatPlatform(platform) !== formatPlatform(options.buildPlatform);
  const name = stage.name ?? (file.stages.length > 1 ? `stage-${stage.index}` : undefined);
  const prefix = [
    ...(foreign ? [formatPlatform(platform)] : []),
    ...(name === undefined ? [] : [name]),
    '',
  ].join(' ');
  let index = 0;
  return (title) => {
    const number = String(++index);
    return {
      name: `[${prefix}${number.padStart(total.length)}/${total}] ${title}`,
      place: `${stage.name ?? stage.index}/${number}`,
    };
  };
}

function fromIsStep(base: StageBase | undefined): boolean {
  if (base?.kind === 'context') return base.context.kind === 'image' && base.context.reference !== 'scratch';
  return base?.kind === 'image';
}

async function lowerBase(lowering: Lowering, stage: Stage, base: StageBase): Promise<Base> {
  const { text, platform } = base;
  switch (base.kind) {
    case 'stage': {
      const state = asFilesystem(lowering, await lowering.stage(base.index), stage.index);
      const label = lowering.file.stages[base.index]?.name ?? text;
      return { label, hasStep: false, state: { ...state, hasCmd: false } };
    }
    case 'scratch':
      return { label: 'scratch', hasStep: false, state: emptyState(platform) };
    case 'context': {
      const found = await contextBase(lowering, stage, base);
      return { ...found, state: asFilesystem(lowering, found.state, stage.index) };
    }
    case 'image': {
      const { from } = stage;
      const step = {
        lowering,
        stage,
        instruction: from,
        label: (title: string) => ({ name: title, place: '' }),
        ignoreCache: false,
        variables: new Map(),
      };
      const { reference } = base;
      const image = await resolveNamed(reference, { text, step, range: from.image.range, platform });
      return imageBase(lowering, stage, { image, platform, label: reference });
    }
    default:
      return unreachable(base);
  }
}

async function contextBase(
  lowering: Lowering,
  stage: Stage,
  { name, context, platform }: { name: string; context: NamedContext; platform: Platform },
): Promise<Base> {
  const empty = { label: name, hasStep: false, state: emptyState(platform) };
  if (context.kind === 'tree') {
    const vertex = treeVertex(lowering, name, stage.index);
    return { ...empty, state: { ...empty.state, vertex, tree: name } };
  }
  if (context.reference === 'scratch') return empty;
  const image = await lowering.resolve(context.reference, platform, locate(stage.from));
  return imageBase(lowering, stage, { image, platform, label: image.reference });
}

/** A stage to stand on: where it is a build context with files, a layer is made of them. */
export function asFilesystem(lowering: Lowering, state: StageState, rank: number): StageState {
  const { tree, vertex, ...rest } = state;
  if (tree === undefined || vertex === undefined) return state;
  const copy = {
    kind: 'copy',
    base: undefined,
    sources: [{ kind: 'input', input: 0, paths: [''], extract: false }],
    dest: '/',
    parents: false,
    exclude: [],
    link: false,
  } as const;
  const name = `[context ${tree}] make a layer`;
  return withHistory(
    { ...rest, vertex },
    `FROM ${tree}`,
    lowering.vertices.add(copy, [vertex], { name, rank }),
  );
}

async function imageBase(
  lowering: Lowering,
  stage: Stage,
  { image, platform, label }: { image: ResolvedImage; platform: Platform; label: string },
): Promise<Base> {
  await checkPlatform(lowering, stage, { image, platform, label });
  const name = stepNames(lowering, stage, {
    platform: image.platform,
    instructions: withTriggers(stage, image.config.config?.OnBuild ?? [], label),
  });
  const vertex = imageVertex(lowering, image, {
    ...name(`FROM ${label}`),
    source: locate(stage.from),
    rank: stage.index,
  });
  const { config } = image;
  const env = withPath(readEnv(config.config?.Env ?? []));
  const container = config.config ?? {};
  const { WorkingDir: directory = '' } = container;
  return {
    label,
    hasStep: true,
    state: withConfig(
      {
        ...emptyState(sameProcessor(image.platform, platform) ? platform : image.platform),
        basePlatform: image.platform,
        vertex,
        config: directory === '' ? container : { ...container, WorkingDir: absolutePath(directory, '/') },
        author: config.author,
        env,
        baseHistory: config.history ?? [],
        unseenBase: image.unseen === true,
      },
      { Env: formatEnv(env) },
    ),
  };
}

function sameProcessor(a: Platform, b: Platform): boolean {
  return a.os === b.os && a.architecture === b.architecture;
}

/** Says that a base is for another platform than the one asked for; where none was, that its steps cannot run here (L-FROM-5). */
async function checkPlatform(
  { options, report }: Lowering,
  { from }: Stage,
  { image, platform, label }: { image: ResolvedImage; platform: Platform; label: string },
): Promise<void> {
  if (sameProcessor(image.platform, platform)) return;
  const isAsked = options.platformIsExplicit || from.platform !== undefined;
  const runsHere = options.runsHere ?? ((each: Platform) => sameProcessor(each, options.buildPlatform));
  if (!isAsked && (await runsHere(image.platform))) return;
  const said = `\`${label}\` is for ${formatPlatform(image.platform)}`;
  const message = isAsked
    ? `${said}, but ${formatPlatform(platform)} was asked for`
    : `${said}, whose programs do not run here`;
  report('InvalidBaseImagePlatform', findingAt(from, message, { range: from.image.range }));
}

/** The instructions of a stage behind the ONBUILD triggers of its base (L-OB-1). */
function withTriggers(stage: Stage, triggers: readonly string[], label: string): readonly StageInstruction[] {
  try {
    const parsed = triggers.map((text) => parseTrigger({ name: `ONBUILD of ${label}`, text }));
    return [...parsed, ...stage.instructions];
  } catch (error) {
    throw ofTrigger(error, stage);
  }
}

/** A fault of a trigger, whose text is not the user's, with the line that brought it in. */
function ofTrigger(error: unknown, { from }: Stage): unknown {
  if (!(error instanceof BuildError)) return error;
  const { code, message, source, details, others } = error;
  const line = `the trigger comes with the base on line ${from.range.start.line} of ${from.source.name}`;
  const hint = error.hint === undefined ? line : `${error.hint}; ${line}`;
  return new BuildError(code, message, { hint, source, details, others, cause: error });
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
    hasWorkdir: false,
    platform,
    basePlatform: platform,
    baseHistory: [],
    unseenBase: false,
    history: undefined,
    labels: undefined,
  };
}

function withPath(env: EnvList): EnvList {
  return getEnv(env, 'PATH') === undefined ? setEnv(env, 'PATH', defaultPath) : env;
}
