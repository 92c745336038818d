import { looksSecret } from '../../util/looks-secret.ts';
import type { Edit } from '../../util/edit.ts';
import type { Instruction, InstructionBase, Pair } from '../instruction.ts';
import type { Word } from '../lex.ts';
import type { Stage } from '../stages.ts';
import type { TextRule } from './finding.ts';
import { casing, replaceWord } from './finding.ts';
import type { CheckName } from './rules.ts';

/** The checks of all other instructions that need the text alone (6.3). */
export const instructionRules: Readonly<Partial<Record<CheckName, TextRule>>> = {
  *NoEmptyContinuation({ source, emptyContinuations }) {
    for (const { range, about } of emptyContinuations) {
      const next = { line: range.start.line + 1, column: 1 };
      yield {
        about,
        source,
        range,
        fix: [{ range: { start: range.start, end: next }, text: '' }],
        message: 'an empty line stands in a continued instruction; it will become an error',
      };
    }
  },
  *ConsistentInstructionCasing({ stages }) {
    // As with BuildKit an ARG before the first FROM does not count.
    const instructions = stages.flatMap((stage) => [stage.from, ...stage.instructions]);
    const casings = instructions.map((instruction) => casing(instruction.keyword.text));
    const lower = casings.filter((style) => style === 'lower').length;
    const upper = casings.filter((style) => style === 'upper').length;
    const wanted = lower > upper ? 'lower' : 'upper';
    for (const instruction of instructions) {
      if (casing(instruction.keyword.text) === wanted) continue;
      yield {
        about: instruction,
        range: instruction.keyword.range,
        fix: replaceWord(
          instruction.keyword,
          wanted === 'lower'
            ? instruction.keyword.text.toLowerCase()
            : instruction.keyword.text.toUpperCase(),
        ),
        message: `\`${instruction.keyword.text}\` should be ${wanted} case like the other instructions`,
      };
    }
  },
  *MaintainerDeprecated({ instructions }) {
    for (const instruction of instructions) {
      if (instruction.kind !== 'maintainer') continue;
      yield {
        about: instruction,
        range: instruction.range,
        message: 'MAINTAINER is deprecated',
        hint: 'use LABEL org.opencontainers.image.authors=...',
      };
    }
  },
  *MultipleInstructionsDisallowed({ source, built }) {
    const lines = source.text.split('\n');
    for (const { instructions } of built) {
      for (const kind of ['cmd', 'entrypoint', 'healthcheck'] as const) {
        const found = instructions.filter((instruction) => instruction.kind === kind);
        for (const ignored of found.slice(0, -1)) {
          yield {
            about: ignored,
            range: ignored.range,
            fix: removeLines(lines, ignored),
            message: `the stage has several ${kind.toUpperCase()}; only the last one counts`,
          };
        }
      }
    }
  },
  *LegacyKeyValueFormat({ built, directives }) {
    for (const instruction of instructionsOf(built)) {
      if ((instruction.kind !== 'env' && instruction.kind !== 'label') || !instruction.legacy) continue;
      const name = instruction.kind.toUpperCase();
      yield {
        about: instruction,
        range: instruction.range,
        fix: withEquals(instruction.pairs[0], directives.escape),
        message: `\`${name} key value\` should be \`${name} key=value\``,
      };
    }
  },
  *SecretsUsedInArgOrEnv({ built }) {
    for (const instruction of instructionsOf(built)) {
      const names =
        instruction.kind === 'arg'
          ? instruction.args.map(({ name }) => name)
          : instruction.kind === 'env'
            ? instruction.pairs.map(({ key }) => key)
            : [];
      for (const name of names) {
        if (!looksSecret(name.text)) continue;
        yield {
          about: instruction,
          range: name.range,
          message: `\`${name.text}\` looks like a secret; ${instruction.kind.toUpperCase()} leaves it in the image`,
          hint: 'use RUN --mount=type=secret',
        };
      }
    }
  },
  *ExposeProtoCasing({ built }) {
    for (const word of exposed(built)) {
      const message = protoCasing(word.text);
      if (message === undefined) continue;
      const fix = replaceWord(
        word,
        word.text.replace(/\/.*$/, (proto) => proto.toLowerCase()),
      );
      yield { about: word.about, range: word.range, fix, message };
    }
  },
  *ExposeInvalidFormat({ built }) {
    for (const word of exposed(built)) {
      const message = hostPort(word.text);
      if (message === undefined) continue;
      const fix = replaceWord(word, word.text.slice(word.text.lastIndexOf(':') + 1));
      yield { about: word.about, range: word.range, fix, message };
    }
  },
};

const instructionsOf = (stages: readonly Stage[]): readonly Instruction[] =>
  stages.flatMap(({ instructions }) => instructions);

/** What ExposeProtoCasing says of a port without variables. */
export function protoCasing(port: string): string | undefined {
  const proto = /\/(.*)$/.exec(port)?.[1] ?? '';
  return proto === proto.toLowerCase() ? undefined : `the protocol of \`${port}\` should be lower case`;
}

/** What ExposeInvalidFormat says of a port without variables. */
export function hostPort(port: string): string | undefined {
  return port.includes(':')
    ? `\`${port}\` maps a port of the host; EXPOSE takes ports of the container only`
    : undefined;
}

/** The ports that no variable is in; those of variables are looked at when they have values. */
function* exposed(stages: readonly Stage[]): Generator<Word & { about: InstructionBase }> {
  for (const instruction of instructionsOf(stages)) {
    if (instruction.kind !== 'expose') continue;
    for (const word of instruction.values)
      if (!word.text.includes('$')) yield { ...word, about: instruction };
  }
}

/**
 * Takes whole lines out. Not where a comment stands right above, which would then be about the next instruction, nor where the instruction
 * begins behind something else.
 */
function removeLines(
  lines: readonly string[],
  { range: { start, end } }: InstructionBase,
): readonly Edit[] | undefined {
  let above = start.line - 2;
  while (lines[above]?.trim() === '') above--;
  const clean =
    lines[above]?.trimStart().startsWith('#') !== true &&
    (lines[start.line - 1] ?? '').slice(0, start.column - 1).trim() === '' &&
    (lines[end.line - 1] ?? '').slice(end.column - 1).trim() === '';
  if (!clean || end.line >= lines.length) return undefined;
  return [
    { range: { start: { line: start.line, column: 1 }, end: { line: end.line + 1, column: 1 } }, text: '' },
  ];
}

/** `key value` as `key=value`, with quotes or escapes where the value has blanks. */
function withEquals(pair: Pair | undefined, escape: string): readonly Edit[] | undefined {
  if (pair === undefined) return undefined;
  const { key, value } = pair;
  const start = key.range.end;
  const { end } = value.range;
  const plain =
    start.line === end.line &&
    value.range.start.line === end.line &&
    end.column - value.range.start.column === value.text.length;
  if (!plain) return undefined;
  return [{ range: { start, end }, text: `=${quoted(value.text, escape)}` }];
}

/** A text that means as one word what it meant as the rest of a line. */
function quoted(text: string, escape: string): string {
  if (!/\s/.test(text)) return text;
  if (!/["']/.test(text) && !text.includes(escape)) return `"${text}"`;
  let out = '';
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? '';
    if (char === escape && quote !== "'") {
      out += char + (text[++at] ?? '');
      continue;
    }
    if (quote === '' && (char === '"' || char === "'")) quote = char;
    else if (char === quote) quote = '';
    out += quote === '' && /\s/.test(char) ? escape + char : char;
  }
  return out;
}
