import { BuildError } from '../util/build-error.ts';
import type { ArgInstruction, FromInstruction, Instruction } from './instruction.ts';
import type { Word } from './lex.ts';
import { didYouMean } from '../util/suggest.ts';

/** One FROM and the instructions up to the next. */
export interface Stage {
  readonly index: number;
  /** Lower case; undefined for a stage without AS. */
  readonly name: string | undefined;
  readonly from: FromInstruction;
  readonly instructions: readonly Exclude<Instruction, FromInstruction>[];
}

/** Splits a file into global ARGs and stages; what may not stand before the first FROM is reported (L-PARSE-7). */
export function groupStages(
  instructions: readonly Instruction[],
  errors: BuildError[],
): { readonly globalArgs: readonly ArgInstruction[]; readonly stages: readonly Stage[] } {
  const globalArgs: ArgInstruction[] = [];
  const stages: (Stage & { readonly instructions: Exclude<Instruction, FromInstruction>[] })[] = [];
  let reported = false;
  for (const instruction of instructions) {
    const current = stages.at(-1);
    if (instruction.kind === 'from') {
      const name = instruction.as?.name.text.toLowerCase();
      stages.push({ index: stages.length, name, from: instruction, instructions: [] });
    } else if (current !== undefined) current.instructions.push(instruction);
    else if (instruction.kind === 'arg') globalArgs.push(instruction);
    else if (!reported) {
      reported = true;
      // A word before it that is no instruction may be the FROM that is missing: its error says all there is.
      const { line } = instruction.keyword.range.start;
      if (errors.some((error) => isUnknownBefore(error, line))) continue;
      errors.push(
        new BuildError(
          'DOCKERFILE_NO_STAGE',
          `${instruction.keyword.text.toUpperCase()} stands before the first FROM`,
          {
            source: { source: instruction.source, range: instruction.keyword.range },
            hint: 'only ARG may stand there',
          },
        ),
      );
    }
  }
  return { globalArgs, stages };
}

function isUnknownBefore({ code, source }: BuildError, line: number): boolean {
  return code === 'DOCKERFILE_UNKNOWN_INSTRUCTION' && source !== undefined && source.range.start.line < line;
}

/** By list of stages: the places of each name, ascending. Lists are never changed once they are looked things up in. */
const placesOfNames = new WeakMap<readonly Stage[], ReadonlyMap<string, readonly number[]>>();

function placesIn(stages: readonly Stage[]): ReadonlyMap<string, readonly number[]> {
  const known = placesOfNames.get(stages);
  if (known !== undefined) return known;
  const places = new Map<string, number[]>();
  for (const { index, name } of stages) {
    if (name === undefined) continue;
    const list = places.get(name);
    if (list === undefined) places.set(name, [index]);
    else list.push(index);
  }
  placesOfNames.set(stages, places);
  return places;
}

/** What `--from` and FROM call a stage by (L-FROM-2): its name in any case, the last of several; `byIndex`: also its number. */
export function findStage(
  stages: readonly Stage[],
  name: string,
  how: { readonly before?: number; readonly byIndex: boolean },
): Stage | undefined {
  const before = how.before ?? stages.length;
  const places = placesIn(stages).get(name.toLowerCase()) ?? [];
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((places[middle] ?? 0) < before) low = middle + 1;
    else high = middle;
  }
  const named = low === 0 ? undefined : stages[places[low - 1] ?? -1];
  if (named !== undefined) return named;
  return how.byIndex && /^\d{1,6}$/.test(name) && Number(name) < before ? stages[Number(name)] : undefined;
}

/** The names that `--from` and `from=` of a stage's instructions have. */
export function* namesIn(stage: Stage): Generator<Word & { readonly instruction: Instruction }> {
  for (const instruction of stage.instructions) {
    if (instruction.kind === 'copy' && instruction.from !== undefined)
      yield { ...instruction.from, instruction };
    if (instruction.kind !== 'run') continue;
    for (const mount of instruction.mounts) {
      const option = mount.options.findLast(({ key }) => key === 'from');
      if (option?.value === undefined) continue;
      const { start, end } = option.range;
      const isWhole =
        start.line === end.line &&
        end.column - start.column === option.written.length + 1 + option.value.length;
      // `from=name`: the name alone, where it stands as it is.
      const range = isWhole
        ? { start: { ...start, column: start.column + option.written.length + 1 }, end }
        : option.range;
      yield { text: option.value, range, instruction };
    }
  }
}

/** The stages that a stage names by `--from` and `from=`, later ones too, each with an instruction that does. */
export function stagesNamedBy(stage: Stage, stages: readonly Stage[]): ReadonlyMap<number, Instruction> {
  const found = new Map<number, Instruction>();
  for (const { text, instruction } of namesIn(stage)) {
    const named = findStage(stages, text, { byIndex: true });
    if (named !== undefined && !found.has(named.index)) found.set(named.index, instruction);
  }
  return found;
}

/** The fault of stages, reachable or not, that copy from each other in a circle (L-FROM-6). */
export function findCycle(stages: readonly Stage[]): BuildError | undefined {
  const state: ('open' | 'done' | undefined)[] = [];
  for (const start of stages.keys()) {
    // Stages that are being looked at, each with what it still has to look at: no recursion, as they may be many.
    const open = state[start] === undefined ? [visit(start)] : [];
    for (let last = open.at(-1); last !== undefined; last = open.at(-1)) {
      const { done, value } = last.rest.next();
      if (done === true) {
        state[last.index] = 'done';
        open.pop();
      } else if (state[value[0]] === 'open') return circular(stages, last.index, value);
      else if (state[value[0]] === undefined) open.push(visit(value[0]));
    }
  }
  return undefined;

  function visit(index: number): { index: number; rest: Iterator<[number, Instruction], undefined> } {
    state[index] = 'open';
    const stage = stages[index];
    const named = stage === undefined ? new Map<number, Instruction>() : stagesNamedBy(stage, stages);
    return { index, rest: named.entries() };
  }
}

function circular(
  stages: readonly Stage[],
  index: number,
  [to, instruction]: readonly [number, Instruction],
): BuildError {
  const nameOf = (at: number): string => stages[at]?.name ?? `stage-${at}`;
  return new BuildError(
    'DOCKERFILE_UNKNOWN_STAGE',
    `circular dependency detected on stage \`${nameOf(index)}\``,
    {
      source: { source: instruction.source, range: instruction.range },
      hint:
        to === index
          ? 'a stage cannot copy from itself'
          : `the stage \`${nameOf(to)}\` needs this one, so this one cannot need it`,
    },
  );
}

/** The stage to build: the named or numbered one, else the last. Throws DOCKERFILE_UNKNOWN_STAGE. */
export function targetStage(stages: readonly Stage[], target: string | undefined): Stage {
  const found =
    target === undefined || target === '' ? stages.at(-1) : findStage(stages, target, { byIndex: true });
  if (found !== undefined) return found;
  const names = stages.flatMap((stage) => stage.name ?? []);
  throw new BuildError('DOCKERFILE_UNKNOWN_STAGE', `no stage is called \`${target}\``, {
    hint:
      didYouMean(target ?? '', names) ??
      (names.length === 0 ? 'the stages of this file have no names' : `the stages are ${names.join(', ')}`),
  });
}
