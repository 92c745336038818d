import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lower } from '../../src/frontend/lower.ts';
import type { Instruction } from '../../src/frontend/instruction.ts';
import type { Word } from '../../src/frontend/lex.ts';
import type { ParsedDockerfile } from '../../src/frontend/parse.ts';
import { parseDockerfile } from '../../src/frontend/parse.ts';
import { BuildError } from '../../src/util/build-error.ts';
import type { Position, Range, SourceText } from '../../src/util/source.ts';
import { fakeOptions } from '../frontend/images.ts';

function parse(text: string): ParsedDockerfile {
  return parseDockerfile({ name: 'Dockerfile', text });
}

/** The stretch of text that a range covers. */
function textAt(source: SourceText, { start, end }: Range): string {
  const lines = source.text.split('\n');
  const offset = (line: number, column: number): number =>
    lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0) + column - 1;
  return source.text.slice(offset(start.line, start.column), offset(end.line, end.column));
}

function expectInside(source: SourceText, range: Range): void {
  const lines = source.text.split('\n');
  for (const { line, column } of [range.start, range.end]) {
    expect(line).toBeGreaterThanOrEqual(1);
    expect(line).toBeLessThanOrEqual(lines.length);
    expect(column).toBeGreaterThanOrEqual(1);
    expect(column).toBeLessThanOrEqual((lines[line - 1]?.length ?? 0) + 1);
  }
  const { start, end } = range;
  expect(start.line < end.line || (start.line === end.line && start.column <= end.column)).toBe(true);
}

/** Every range that a parsed file has, wherever it is. */
function rangesOf(value: unknown, found: Range[] = [], seen = new Set<object>()): readonly Range[] {
  if (typeof value !== 'object' || value === null || seen.has(value)) return found;
  seen.add(value);
  const record = value as Record<string, unknown>;
  for (const [key, item] of Object.entries(record)) {
    if (/range/i.test(key)) found.push(item as Range);
    else if (key !== 'source' || 'range' in (item as object)) rangesOf(item, found, seen);
  }
  if (value instanceof BuildError) rangesOf(value.source, found, seen);
  return found;
}

/** Words that stand in the file as they are, unless continuation marks divide them: no flags, no elements of JSON. */
function plainWords(instruction: Instruction): readonly Word[] {
  const words: Word[] = [instruction.keyword];
  if (instruction.kind === 'from')
    words.push(instruction.image, ...(instruction.as ? [instruction.as.name] : []));
  if (instruction.kind === 'arg')
    words.push(
      ...instruction.args.flatMap(({ name, value }) => (value === undefined ? [name] : [name, value])),
    );
  if (instruction.kind === 'env' || instruction.kind === 'label')
    words.push(...instruction.pairs.flatMap(({ key, value }) => [key, value]));
  if (instruction.kind === 'user' || instruction.kind === 'workdir') words.push(instruction.value);
  if (instruction.kind === 'expose') words.push(...instruction.values);
  if ('command' in instruction && instruction.command?.form === 'shell') words.push(instruction.command);
  if (instruction.kind === 'run') words.push(...instruction.heredocs.map(({ word }) => word));
  if (instruction.kind === 'copy' || instruction.kind === 'add')
    for (const source of instruction.sources) if (source.kind === 'heredoc') words.push(source.heredoc.word);
  return words;
}

const isBefore = (left: Position, right: Position): boolean =>
  left.line < right.line || (left.line === right.line && left.column <= right.column);

/** All that instructions say, without their places. */
function values({ instructions, errors, directives }: ParsedDockerfile): string {
  const seen = { instructions, errors: errors.map(({ code, message }) => [code, message]), directives };
  return JSON.stringify(seen, (key, value: unknown) =>
    /range|^source$|^start$|^end$/i.test(key) ? undefined : value,
  );
}

const piece = fc.constantFrom(
  ...[
    'FROM ',
    'from x',
    'RUN ',
    'COPY ',
    'ADD ',
    'ENV ',
    'ARG ',
    'ONBUILD ',
    'CMD ',
    'HEALTHCHECK ',
    'EXPOSE ',
    'LABEL a=',
  ],
  ...[
    '\n',
    '\n',
    '\r\n',
    '\r',
    '\\\n',
    '\\ \n',
    '`\n',
    '#',
    '# escape=`\n',
    ' ',
    '\t',
    '\\',
    '\\\\',
    '"',
    "'",
    '\u{feff}',
  ],
  ...[
    '<<EOF',
    '<<-"EOF"',
    '3<<E',
    'EOF',
    '\nEOF\n',
    '[',
    ']',
    '["a"]',
    '--',
    '--mount=',
    '--from=x',
    'type=bind,',
    ',',
    '=',
  ],
  ...['a', '$a', '${', '}', ':-', ' AS b', '😀', '\0', 'é', '\u2028', '__proto__', 'constructor', '://x@'],
  ...[
    '\ud83d',
    '\ude00',
    'SHELL ',
    'USER ',
    '<< ',
    '((',
    'CMD ["\\u0000"]',
    '# check=',
    '#!x\n',
    'check=skip=a\n',
  ],
);
const file = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));

describe('parseDockerfile', () => {
  test('never throws, and all its ranges are inside the text', () => {
    fc.assert(
      fc.property(fc.oneof(file, fc.string({ unit: 'binary' })), (text) => {
        const parsed = parse(text);
        for (const error of parsed.errors) expect(error.source, error.message).toBeDefined();
        for (const range of rangesOf(parsed)) expectInside(parsed.source, range);
      }),
      { numRuns: 3000 },
    );
  });

  test('what a word’s range covers is the word, instructions follow each other, errors are in order', () => {
    fc.assert(
      fc.property(fc.oneof(file, fc.string({ unit: 'binary' })), (text) => {
        const { source, instructions, errors } = parse(text);
        for (const word of instructions.flatMap(plainWords)) {
          if (word.range.start.line === word.range.end.line)
            expect(textAt(source, word.range)).toBe(word.text);
        }
        let last: Position = { line: 1, column: 1 };
        for (const { range, keyword } of instructions) {
          expect(isBefore(last, range.start)).toBe(true);
          expect(keyword.range.start).toEqual(range.start);
          expect(isBefore(keyword.range.end, range.end)).toBe(true);
          last = range.end;
        }
        const places = errors.map((error) => error.source?.range.start ?? last);
        places.reduce(
          (left, right) => {
            expect(isBefore(left, right)).toBe(true);
            return right;
          },
          { line: 1, column: 1 },
        );
      }),
      { numRuns: 3000 },
    );
  });

  test('the same text gives the same, and so does one with line ends of Windows', () => {
    // A return alone is a blank, and bodies of heredocs keep theirs.
    const lines = file.map((text) => text.replaceAll('\r', ''));
    fc.assert(
      fc.property(lines, (text) => {
        const once = parse(text);
        expect(JSON.stringify(parse(text))).toBe(JSON.stringify(once));
        const windows = parse(text.replaceAll('\n', '\r\n'));
        expect(values(windows).replaceAll('\\r', '')).toBe(values(once));
      }),
      { numRuns: 3000 },
    );
  });

  test('what parses is lowered, or refused with a BuildError', async () => {
    await fc.assert(
      fc.asyncProperty(file, async (text) => {
        try {
          const result = await lower(parse(`FROM alpine\n${text}`), fakeOptions());
          expect(result.images).toHaveLength(1);
        } catch (error) {
          expect(error).toBeInstanceOf(BuildError);
          expect((error as BuildError).code).not.toBe('INTERNAL');
        }
      }),
      { numRuns: 1500 },
    );
  });

  test('stages may build on each other without end', async () => {
    const count = 3000;
    const stages = Array.from({ length: count }, (_, index) =>
      index % 2 === 0
        ? `FROM ${index === 0 ? 'alpine' : `s${index - 1}`} AS s${index}\nCOPY --from=alpine a /${index}\n`
        : `FROM scratch AS s${index}\nCOPY --from=s${index - 1} a /a\n`,
    );
    const { definition } = await lower(parse(stages.join('')), fakeOptions());
    expect(definition.vertices).toHaveLength(count + 1);
  });

  test('ranges cover the words they are about', () => {
    const parsed = parse(
      'FROM --platform=linux/amd64 alpine AS one\nRUN --mount=type=cache,target=/x \\\n  # no\n  make \\\n  all\nENV a=1 \\\n b="x y"\n',
    );
    const [from, run, env] = parsed.instructions;
    if (from?.kind !== 'from' || run?.kind !== 'run' || env?.kind !== 'env')
      throw new Error('not these three');
    const at = (range: Range): string => textAt(parsed.source, range);
    expect(at(from.image.range)).toBe('alpine');
    expect(from.platform && at(from.platform.range)).toBe('linux/amd64');
    expect(from.as && at(from.as.name.range)).toBe('one');
    expect(run.mounts[0]?.options.map(({ range }) => at(range))).toEqual(['type=cache', 'target=/x']);
    expect(at(run.range).split('\n')).toHaveLength(4);
    expect(at(run.command.range)).toBe('make \\\n  all');
    expect(env.pairs.map(({ key, value }) => [at(key.range), at(value.range)])).toEqual([
      ['a', '1'],
      ['b', '"x y"'],
    ]);
  });

  test('a heredoc belongs to its instruction', () => {
    const parsed = parse('FROM alpine\nCOPY <<A <<-B /x/\na\nA\n\tb\n\tB\nRUN x\n');
    expect(parsed.instructions.map(({ kind }) => kind)).toEqual(['from', 'copy', 'run']);
    expect(parsed.instructions[1]?.range).toEqual({
      start: { line: 2, column: 1 },
      end: { line: 6, column: 3 },
    });
  });

  test('comments above FROM and ARG describe them', () => {
    const parsed = parse(
      '# old\n\n# VERSION is what to build\nARG VERSION\n# base the base\n# base is here\nFROM alpine AS base\n#\nARG X\n',
    );
    const comments = parsed.instructions.map((instruction) =>
      'comments' in instruction ? instruction.comments.map(({ text }) => text) : undefined,
    );
    expect(comments).toEqual([['old', 'VERSION is what to build'], ['base the base', 'base is here'], []]);
  });

  test('errors come in source order', () => {
    const { errors } = parse('FROM a\nNOPE\nCOPY\nRUN --x y\n# c\nENV\n');
    expect(errors.map(({ source }) => source?.range.start.line)).toEqual([2, 3, 4, 6]);
  });

  test('a line has a limit', () => {
    const { errors } = parse(`FROM alpine\nRUN ${'x'.repeat(70_000)}\n`);
    expect(errors.map(({ code, message }) => [code, message])).toEqual([
      ['DOCKERFILE_SYNTAX', 'a line has more than 65535 bytes'],
    ]);
  });

  test('a NUL character is refused', () => {
    expect(parse('FROM alpine\nENV a=b\0c\n').errors[0]?.message).toContain('NUL');
  });

  test.each([
    ['continued lines', `FROM alpine\nRUN a ${'\\\n x '.repeat(20_000)}`],
    ['heredocs', `FROM alpine\n${'RUN <<E\nx\nE\n'.repeat(5000)}`],
    ['heredocs of one instruction', `FROM alpine\nCOPY ${'<<a '.repeat(2000)} /x/\n${'a\n'.repeat(2000)}`],
    ['open quotes', `FROM alpine\n${`RUN '<<E\n`.repeat(5000)}`],
    ['comments', `${'# a\n'.repeat(20_000)}FROM alpine\n`],
    ['flags', `FROM alpine\nRUN ${'--mount=target=/x '.repeat(3000)} x`],
    ['instructions', `FROM alpine\n${'ENV a=$b\n'.repeat(5000)}`],
    ['stages', 'FROM alpine AS x\n'.repeat(3000)],
    ['unknown words', 'RNU a\n'.repeat(3000)],
  ])('a large file of %s is read in little time', (_, text) => {
    const start = performance.now();
    parse(text);
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});
