import { BuildError } from '../util/build-error.ts';
import type { Range } from '../util/source.ts';
import type { RunInstruction } from './instruction.ts';
import { byPlace, parseTrigger } from './parse.ts';
import type { ParsedDockerfile } from './parse.ts';
import type { Stage } from './stages.ts';
import { targetStage } from './stages.ts';

/** Where in a Dockerfile somebody wants to look. */
export interface CutPoint {
  /** 1-based; undefined: the end of the target stage. */
  readonly line?: number | undefined;
  /** As it is before the instruction on that line. */
  readonly before?: boolean | undefined;
  /** Without a line: name or number of a stage; undefined: the last one. */
  readonly target?: string | undefined;
}

/** A Dockerfile that ends with the RUN in whose place somebody wants to look around. */
export interface CutFile {
  readonly file: ParsedDockerfile;
  /** `after`: that RUN stands on the line, and is to be looked at when it is done; `before`: it is in nobody's way. */
  readonly at: 'before' | 'after';
}

/**
 * The part of a file that decides what there is at a point of it: its last stage ends there, with the RUN on that line, or with one that
 * stands for any. Later stages and their faults are gone. Throws USAGE for a line where nothing is, DOCKERFILE_UNKNOWN_STAGE.
 */
export function cutFile(parsed: ParsedDockerfile, { line, before = false, target }: CutPoint): CutFile {
  const { stage, kept, own } =
    line === undefined ? endOf(targetStage(parsed.stages, target)) : atLine(parsed, { line, before });
  const last = kept.at(-1) ?? stage.from;
  const instructions = own === undefined ? [...kept, anyRun(parsed, last.range)] : [...kept, own];
  // A fault may stand where no instruction came of it.
  const end = Math.max((own ?? last).range.end.line, before ? 0 : (line ?? 0));
  return {
    at: own === undefined || before ? 'before' : 'after',
    file: {
      ...parsed,
      stages: [...parsed.stages.slice(0, stage.index), { ...stage, instructions }],
      // `check=error=true` is about the whole file.
      directives: { ...parsed.directives, check: undefined },
      errors: parsed.errors
        .filter(({ source }) => source === undefined || source.range.start.line <= end)
        .toSorted(byPlace),
    },
  };
}

interface Place {
  readonly stage: Stage;
  /** What has been done at the point. */
  readonly kept: Stage['instructions'];
  /** The RUN that stands there. */
  readonly own?: RunInstruction | undefined;
}

function endOf(stage: Stage): Place {
  return { stage, kept: stage.instructions };
}

function atLine({ source, stages }: ParsedDockerfile, point: { line: number; before: boolean }): Place {
  const { line, before } = point;
  const lines = source.text.replace(/\n$/, '').split('\n').length;
  const refuse = (message: string, hint: string): BuildError => new BuildError('USAGE', message, { hint });
  if (line < 1 || line > lines)
    throw refuse(`${source.name} has no line ${line}`, `its lines are 1 to ${lines}`);
  const stage = stages.findLast(({ from }) => from.range.start.line <= line);
  if (stage === undefined)
    throw refuse(
      `line ${line} of ${source.name} is before the first FROM`,
      'name the line of a FROM or a later one',
    );
  const done = stage.instructions.filter(({ range }) => range.start.line <= line);
  const current = done.at(-1) ?? stage.from;
  // Between two instructions it is as after the one and before the other.
  if (current.range.end.line < line) return { stage, kept: done };
  if (current.kind === 'from' && before)
    throw refuse(`there is nothing before the FROM on line ${line}`, 'leave --before out');
  const below = done.slice(0, -1);
  if (current.kind === 'run') return { stage, kept: below, own: current };
  return { stage, kept: before ? below : done };
}

/** A RUN without flags, placed where the user looks: it tells environment, directory and user. */
function anyRun({ source }: ParsedDockerfile, range: Range): RunInstruction {
  const run = parseTrigger({ name: source.name, text: 'RUN ["sh"]' });
  if (run.kind !== 'run') throw new TypeError('that was a RUN');
  return { ...run, source, range, keyword: { ...run.keyword, range } };
}
