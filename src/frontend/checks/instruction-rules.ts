import type { Edit } from '../../util/edit.ts';
import type { SourceText } from '../../util/source.ts';
import type { Instruction, InstructionBase, Pair } from '../instruction.ts';
import type { Word } from '../lex.ts';
import type { TextRule } from './finding.ts';
import { casing, replaceWord } from './finding.ts';
import type { CheckName } from './rules.ts';

const secretWords = /(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
const harmlessWords = /(?:^|_)(?:public|file|version)(?:_|$)/i;

/** The checks of all other instructions that need the text alone (6.3). */
export const instructionRules: Readonly<Partial<Record<CheckName, TextRule>>> = {
  *NoEmptyContinuation({ source, emptyContinuations }) {
    for (const { range } of emptyContinuations) {
      const next = { line: range.start.line + 1, column: 1 };
      yield {
        source,
        range,
        fix: [{ range: { start: range.start, end: next }, text: '' }],
        message: 'an empty line stands in a continued instruction; it will become an error',
      };
    }
  },
  *ConsistentInstructionCasing({ instructions }) {
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
  *WorkdirRelativePath({ stages }) {
    const anchored = new Map<string, boolean>();
    for (const { name, from, instructions } of stages) {
      let known = anchored.get(from.image.text.toLowerCase()) ?? false;
      for (const instruction of instructions) {
        if (instruction.kind !== 'workdir' || known) continue;
        known = true;
        if (/^["']?(?:[/$\\]|[A-Za-z]:)/.test(instruction.value.text)) continue;
        yield {
          about: instruction,
          range: instruction.value.range,
          message: `\`${instruction.value.text}\` depends on the working directory of the base image`,
          hint: 'use an absolute path',
        };
      }
      if (name !== undefined) anchored.set(name, known);
    }
  },
  *MultipleInstructionsDisallowed({ source, stages }) {
    for (const { instructions } of stages) {
      for (const kind of ['cmd', 'entrypoint', 'healthcheck'] as const) {
        const found = instructions.filter((instruction) => instruction.kind === kind);
        for (const ignored of found.slice(0, -1)) {
          yield {
            about: ignored,
            range: ignored.range,
            fix: removeLines(source, ignored),
            message: `the stage has several ${kind.toUpperCase()}; only the last one counts`,
          };
        }
      }
    }
  },
  *LegacyKeyValueFormat({ instructions, directives }) {
    for (const instruction of instructions) {
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
  *SecretsUsedInArgOrEnv({ stages }) {
    // An ARG before the first FROM is in no image.
    for (const instruction of stages.flatMap((stage) => stage.instructions)) {
      const names =
        instruction.kind === 'arg'
          ? instruction.args.map(({ name }) => name)
          : instruction.kind === 'env'
            ? instruction.pairs.map(({ key }) => key)
            : [];
      for (const name of names) {
        if (!secretWords.test(name.text) || harmlessWords.test(name.text)) continue;
        yield {
          about: instruction,
          range: name.range,
          message: `\`${name.text}\` looks like a secret; ${instruction.kind.toUpperCase()} leaves it in the image`,
          hint: 'use RUN --mount=type=secret',
        };
      }
    }
  },
  *ExposeProtoCasing({ instructions }) {
    for (const word of exposed(instructions)) {
      const message = protoCasing(word.text);
      if (message === undefined) continue;
      const fix = replaceWord(
        word,
        word.text.replace(/\/.*$/, (proto) => proto.toLowerCase()),
      );
      yield { about: word.about, range: word.range, fix, message };
    }
  },
  *ExposeInvalidFormat({ instructions }) {
    for (const word of exposed(instructions)) {
      const message = hostPort(word.text);
      if (message === undefined) continue;
      const fix = replaceWord(word, word.text.slice(word.text.lastIndexOf(':') + 1));
      yield { about: word.about, range: word.range, fix, message };
    }
  },
};

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
function* exposed(instructions: readonly Instruction[]): Generator<Word & { about: InstructionBase }> {
  for (const instruction of instructions) {
    if (instruction.kind !== 'expose') continue;
    for (const word of instruction.values)
      if (!word.text.includes('$')) yield { ...word, about: instruction };
  }
}

/**
 * Takes whole lines out. Not where a comment stands right above, which would then be about the next instruction, nor where the instruction
 * begins behind something else.
 */
function removeLines({ text }: SourceText, { range }: InstructionBase): readonly Edit[] | undefined {
  const lines = text.split('\n');
  const { start, end } = range;
  const before =
    lines
      .slice(0, start.line - 1)
      .findLast((line) => line.trim() !== '')
      ?.trim() ?? '';
  const clean =
    !before.startsWith('#') &&
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
