import { DockerfileParser } from 'dockerfile-ast';
import { BuildError } from '../util/build-error.ts';
import type { Range, SourceText } from '../util/source.ts';
import type { Directives } from './directives.ts';
import { foreignFrontend, parseDirectives } from './directives.ts';
import { makeDraft, mostErrors } from './draft.ts';
import type { ArgInstruction, Instruction, InstructionBase } from './instruction.ts';
import type { Word } from './lex.ts';
import { readCheckOptions } from './checks/options.ts';
import { maskForAst } from './mask.ts';
import { parseInstruction } from './parse-instruction.ts';
import type { Stage } from './stages.ts';
import { groupStages } from './stages.ts';
import type { LineMap } from './text.ts';
import { joinLines, lineMap, positionAt, rangeAt } from './text.ts';

/** A Dockerfile, read but not expanded. */
export interface ParsedDockerfile {
  readonly source: SourceText;
  readonly directives: Directives;
  readonly instructions: readonly Instruction[];
  /** ARGs before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  /** Empty lines inside continued instructions. */
  readonly emptyContinuations: readonly EmptyLine[];
  /** In source order; a file with errors cannot be lowered. */
  readonly errors: readonly BuildError[];
}

/** An empty line inside an instruction; `about` is undefined where that is faulty. */
export interface EmptyLine {
  readonly range: Range;
  readonly about: InstructionBase | undefined;
}

/** Reads a Dockerfile: section 1.1. Never throws; all faults are in `errors`, each with its place. */
export function parseDockerfile(source: SourceText): ParsedDockerfile {
  const map = lineMap(source);
  const { directives, bodyStart, errors: directiveErrors } = parseDirectives(map);
  const errors = [...directiveErrors];
  const nul = source.text.indexOf('\0');
  if (nul >= 0) {
    errors.push(
      new BuildError('DOCKERFILE_SYNTAX', 'the Dockerfile has a NUL character', {
        source: { source, range: rangeAt(map, nul, nul + 1) },
      }),
    );
  }
  const frontend = foreignFrontend(map);
  if (frontend !== undefined) return foreignFile(source, frontend);
  const read = readInstructions(map, { bodyStart, escape: directives.escape }, errors);
  const { globalArgs, stages } = groupStages(read.instructions, errors);
  if (stages.length === 0 && errors.length === 0) errors.push(noStage(map, read.instructions.length));
  const check = readCheckOptions(directives.check?.text);
  if (check.fault !== undefined) {
    const { message, hint } = check.fault;
    const at = directives.check && { source, range: directives.check.range };
    errors.push(new BuildError('DOCKERFILE_BAD_ARGUMENT', message, { hint, source: at }));
  }
  return {
    source,
    directives,
    instructions: read.instructions,
    globalArgs,
    stages,
    emptyContinuations: read.emptyContinuations,
    errors: errors.toSorted(byPlace),
  };
}

type Trigger = Exclude<Instruction, { kind: 'from' | 'onbuild' | 'maintainer' }>;

function foreignFile(source: SourceText, frontend: Word): ParsedDockerfile {
  const error = new BuildError('UNSUPPORTED_HERE', `the file is for the frontend \`${frontend.text}\``, {
    source: { source, range: frontend.range },
    hint: 'tsbuild reads Dockerfiles itself and loads no frontend',
  });
  return {
    source,
    directives: { escape: '\\' },
    instructions: [],
    globalArgs: [],
    stages: [],
    emptyContinuations: [],
    errors: [error],
  };
}

/** Reads an ONBUILD trigger of a base, one instruction; `name` is how the text is shown. Throws the first fault, with the others. */
export function parseTrigger(source: SourceText): Trigger {
  const map = lineMap(source);
  const errors: BuildError[] = [];
  const { instructions } = readInstructions(map, { bodyStart: 0, escape: '\\' }, errors);
  const [instruction, another] = instructions;
  const fail = (message: string, at?: Instruction): void => {
    const range = at?.keyword.range ?? rangeAt(map, 0, 0);
    errors.push(new BuildError('DOCKERFILE_SYNTAX', message, { source: { source, range } }));
  };
  if (instruction !== undefined && another === undefined && errors.length === 0) {
    if (instruction.kind !== 'from' && instruction.kind !== 'onbuild' && instruction.kind !== 'maintainer')
      return instruction;
    fail(`${instruction.keyword.text} cannot be a trigger of ONBUILD`, instruction);
  }
  if (errors.length === 0) fail('an ONBUILD trigger is one instruction', another);
  const [first, ...others] = errors;
  throw new BuildError(first?.code ?? 'DOCKERFILE_SYNTAX', first?.message ?? '', {
    hint: first?.hint,
    source: first?.source,
    others,
  });
}

function readInstructions(
  map: LineMap,
  { bodyStart, escape }: { bodyStart: number; escape: string },
  errors: BuildError[],
): { instructions: readonly Instruction[]; emptyContinuations: readonly EmptyLine[] } {
  const masked = maskForAst(map, bodyStart, escape);
  errors.push(...masked.errors);
  const ast = DockerfileParser.parse(masked.text);
  const offsetOf = ({ line, character }: { line: number; character: number }): number =>
    (map.starts[line] ?? map.source.text.length) + character;
  const comments = new Map<number, string>();
  for (const comment of ast.getComments()) {
    const { start, end } = comment.getRange();
    comments.set(start.line + 1, map.source.text.slice(offsetOf(start), offsetOf(end)).trim());
  }
  const instructions: Instruction[] = [];
  const emptyContinuations: EmptyLine[] = [];
  for (const found of ast.getInstructions()) {
    if (errors.length >= mostErrors) break;
    const { start, end } = found.getRange();
    const span = { start: offsetOf(start), end: offsetOf(end) };
    const logical = joinLines(map, span, escape);
    const heredocs = masked.heredocs.get(span.start) ?? [];
    const head = rangeAt(map, span.start, trimmedEnd(map.source.text, span));
    const range = { start: head.start, end: heredocs.at(-1)?.bodyRange.end ?? head.end };
    const above = commentsAbove(comments, head.start.line, map);
    const draft = makeDraft(
      logical,
      {
        escape,
        heredocs,
        range,
        comments: above,
        ...commentOptions(above),
      },
      errors,
    );
    const instruction = parseInstruction(draft);
    if (instruction !== undefined) instructions.push(instruction);
    for (const offset of logical.emptyLines)
      emptyContinuations.push({ range: rangeAt(map, offset, offset), about: instruction });
  }
  return { instructions, emptyContinuations };
}

/**
 * The comment lines above a line, without `#`, top to bottom. Empty lines between do not count, as with BuildKit; a lone `#` or an
 * instruction ends them.
 */
function commentsAbove(comments: ReadonlyMap<number, string>, line: number, map: LineMap): readonly Word[] {
  const above: Word[] = [];
  for (let at = line - 1; ; at--) {
    if (at >= 1 && isBlank(map, at)) continue;
    const text = comments.get(at)?.replace(/^#+\s*/, '');
    if (text === undefined || text === '') return above.toReversed();
    const position = { line: at, column: 1 };
    above.push({
      text,
      range: { start: position, end: { line: at, column: 1 + (comments.get(at)?.length ?? 0) } },
    });
  }
}

function isBlank({ source, starts }: LineMap, line: number): boolean {
  return source.text.slice(starts[line - 1], starts[line]).trim() === '';
}

/** What `# check=` comments say of the instruction below them (L-DIR-4). */
function commentOptions(comments: readonly Word[]): {
  skip: readonly string[];
  experimental: readonly string[];
} {
  const options = comments.flatMap(({ text }) => {
    const match = /^check\s*=\s*(\S*)/i.exec(text);
    return match === null ? [] : [readCheckOptions(match[1])];
  });
  return {
    skip: options.flatMap(({ skip }) => skip),
    experimental: options.flatMap(({ experimental }) => experimental),
  };
}

function trimmedEnd(text: string, span: { start: number; end: number }): number {
  let { end } = span;
  while (end > span.start && /\s/.test(text[end - 1] ?? '')) end--;
  return end;
}

function noStage(map: LineMap, instructions: number): BuildError {
  const { text } = map.source;
  const start = positionAt(map, 0);
  const message =
    text.trim() === ''
      ? 'the Dockerfile is empty'
      : instructions === 0
        ? 'the Dockerfile has no instructions'
        : 'the Dockerfile has no FROM';
  return new BuildError('DOCKERFILE_NO_STAGE', message, {
    source: { source: map.source, range: { start, end: start } },
    hint: 'begin with FROM <image>, or FROM scratch',
  });
}

/** Order of errors: by place. */
export function byPlace(left: BuildError, right: BuildError): number {
  const a = left.source?.range.start ?? { line: 0, column: 0 };
  const b = right.source?.range.start ?? { line: 0, column: 0 };
  return a.line - b.line || a.column - b.column;
}
