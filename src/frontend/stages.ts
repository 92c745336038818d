import { BuildError } from '../util/build-error.ts';
import type { ArgInstruction, FromInstruction, Instruction } from './instruction.ts';
import { didYouMean } from './suggest.ts';

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

/** What `--from` and FROM call a stage by (L-FROM-2): its name in any case, the last of several; `byIndex`: also its number. */
export function findStage(
  stages: readonly Stage[],
  name: string,
  how: { readonly before?: number; readonly byIndex: boolean },
): Stage | undefined {
  const candidates = stages.slice(0, how.before ?? stages.length);
  const wanted = name.toLowerCase();
  const named = candidates.findLast((stage) => stage.name === wanted);
  if (named !== undefined) return named;
  return how.byIndex && /^\d{1,6}$/.test(name) ? candidates[Number(name)] : undefined;
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
