import type { Range, SourceText } from '../util/source.ts';
import { parseReference } from '../oci/reference.ts';
import type { ArgInstruction, Instruction, InstructionBase } from './instruction.ts';
import type { Word } from './lex.ts';
import { platformArgNames } from './scope.ts';
import { description } from './outline.ts';
import type { Stage } from './stages.ts';
import { didYouMean } from './suggest.ts';
import { expandWord } from './words.ts';

/** What a rule has to say about a place. */
export interface Finding {
  readonly message: string;
  readonly hint?: string | undefined;
  readonly range?: Range | undefined;
  /** The instruction it is about: gives the source, and the rules that are switched off there. */
  readonly about?: InstructionBase | undefined;
  readonly source?: SourceText | undefined;
}

/** What rules look at. */
export interface LintInput {
  readonly source: SourceText;
  readonly directives: { readonly escape: string };
  readonly instructions: readonly Instruction[];
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  readonly emptyContinuations: readonly Word[];
}

type Rule = (file: LintInput) => Iterable<Finding>;

/** Rules that run only when asked for by `experimental=`. */
export const experimentalRules: ReadonlySet<string> = new Set(['InvalidDefinitionDescription']);

const secretWords = /(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
const harmlessWords = /(?:^|_)(?:public|file|version)(?:_|$)/i;

/** The build checks of section 6.3 that need nothing but the text, by name. The others are made while lowering. */
export const lintRules: Readonly<Record<string, Rule>> = {
  *StageNameCasing({ stages }) {
    for (const { from } of stages) {
      const name = from.as?.name;
      if (name === undefined || name.text === name.text.toLowerCase()) continue;
      yield {
        about: from,
        range: name.range,
        message: `the stage name \`${name.text}\` should be lower case`,
      };
    }
  },
  *FromAsCasing({ stages }) {
    for (const { from } of stages) {
      const as = from.as?.keyword;
      if (as === undefined || casing(as.text) === casing(from.keyword.text)) continue;
      yield {
        about: from,
        range: as.range,
        message: `\`${as.text}\` and \`${from.keyword.text}\` differ in casing`,
      };
    }
  },
  *NoEmptyContinuation({ source, emptyContinuations }) {
    for (const { range } of emptyContinuations) {
      yield {
        source,
        range,
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
        message: `\`${instruction.keyword.text}\` should be ${wanted} case like the other instructions`,
      };
    }
  },
  *DuplicateStageName({ stages }) {
    const seen = new Set<string>();
    for (const { name, from } of stages) {
      if (name === undefined) continue;
      if (seen.has(name)) {
        yield {
          about: from,
          range: from.as?.name.range,
          message: `another stage is already called \`${name}\``,
        };
      }
      seen.add(name);
    }
  },
  *ReservedStageName({ stages }) {
    for (const { name, from } of stages) {
      if (name !== 'scratch' && name !== 'context') continue;
      yield {
        about: from,
        range: from.as?.name.range,
        message: `\`${name}\` is reserved and should name no stage`,
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
  *UndefinedArgInFrom(file) {
    const declared = new Set(file.globalArgs.flatMap(({ args }) => args.map(({ name }) => name.text)));
    for (const { from } of file.stages) {
      for (const word of [from.image, from.platform]) {
        for (const name of word === undefined ? [] : undefinedNames(word.text, file.directives.escape)) {
          if (declared.has(name) || platformArgNames.includes(name)) continue;
          yield {
            about: from,
            range: word?.range,
            message: `FROM uses \`$${name}\`, which no ARG before the first FROM declares`,
            hint: didYouMean(name, [...declared, ...platformArgNames]),
          };
        }
      }
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
  *MultipleInstructionsDisallowed({ stages }) {
    for (const { instructions } of stages) {
      for (const kind of ['cmd', 'entrypoint', 'healthcheck'] as const) {
        const found = instructions.filter((instruction) => instruction.kind === kind);
        for (const ignored of found.slice(0, -1)) {
          yield {
            about: ignored,
            range: ignored.range,
            message: `the stage has several ${kind.toUpperCase()}; only the last one counts`,
          };
        }
      }
    }
  },
  *LegacyKeyValueFormat({ instructions }) {
    for (const instruction of instructions) {
      if ((instruction.kind !== 'env' && instruction.kind !== 'label') || !instruction.legacy) continue;
      const name = instruction.kind.toUpperCase();
      yield {
        about: instruction,
        range: instruction.range,
        message: `\`${name} key value\` should be \`${name} key=value\``,
      };
    }
  },
  *RedundantTargetPlatform({ stages }) {
    for (const { from } of stages) {
      if (
        from.platform === undefined ||
        !/^\$(?:TARGETPLATFORM|\{TARGETPLATFORM\})$/.test(from.platform.text)
      )
        continue;
      yield { about: from, range: from.platform.range, message: '`$TARGETPLATFORM` is the default of FROM' };
    }
  },
  *SecretsUsedInArgOrEnv({ instructions }) {
    for (const instruction of instructions) {
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
  *InvalidDefaultArgInFrom(file) {
    const defaults = new Map<string, string>();
    const { escape } = file.directives;
    const lookup = (name: string): string | undefined => defaults.get(name);
    for (const { args } of file.globalArgs) {
      for (const { name, value } of args) {
        if (value !== undefined)
          defaults.set(name.text, attempt(() => expandWord(value.text, { escape, lookup })) ?? '');
      }
    }
    for (const { from } of file.stages) {
      if (
        !from.image.text.includes('$') ||
        undefinedNames(from.image.text, escape).some((name) => isPlatform(name))
      )
        continue;
      const image = attempt(() => expandWord(from.image.text, { escape, lookup }));
      if (image === 'scratch' || (image !== undefined && attempt(() => parseReference(image)) !== undefined))
        continue;
      yield {
        about: from,
        range: from.image.range,
        message: `with the default values of its ARGs, \`${from.image.text}\` is no image`,
        hint: 'give the ARG before FROM a default value',
      };
    }
  },
  *FromPlatformFlagConstDisallowed({ stages }) {
    for (const { name, from } of stages) {
      const platform = from.platform?.text;
      if (platform === undefined || platform.includes('$')) continue;
      if (name !== undefined && platform.split('/').some((part) => name.split(/[-_.]/).includes(part)))
        continue;
      yield {
        about: from,
        range: from.platform?.range,
        message: `FROM should not fix its platform to \`${platform}\``,
        hint: 'use $BUILDPLATFORM, or name the stage after the platform',
      };
    }
  },
  *InvalidDefinitionDescription({ stages, instructions }) {
    for (const { from } of stages)
      if (from.as !== undefined) yield* wrongComment(from, from.comments, [from.as.name.text]);
    for (const instruction of instructions) {
      if (instruction.kind !== 'arg') continue;
      const names = instruction.args.map(({ name }) => name.text);
      yield* wrongComment(instruction, instruction.comments, names);
    }
  },
  *ExposeProtoCasing({ instructions }) {
    for (const word of exposed(instructions)) {
      const proto = /\/(.*)$/.exec(word.text)?.[1] ?? '';
      if (proto === proto.toLowerCase() || proto.includes('$')) continue;
      yield {
        about: word.about,
        range: word.range,
        message: `the protocol of \`${word.text}\` should be lower case`,
      };
    }
  },
  *ExposeInvalidFormat({ instructions }) {
    for (const word of exposed(instructions)) {
      if (!word.text.includes(':') || word.text.includes('$')) continue;
      yield {
        about: word.about,
        range: word.range,
        message: `\`${word.text}\` maps a port of the host; EXPOSE takes ports of the container only`,
      };
    }
  },
};

function casing(text: string): 'upper' | 'lower' | 'mixed' {
  if (text === text.toUpperCase()) return 'upper';
  return text === text.toLowerCase() ? 'lower' : 'mixed';
}

function* exposed(instructions: readonly Instruction[]): Generator<Word & { about: InstructionBase }> {
  for (const instruction of instructions) {
    if (instruction.kind !== 'expose') continue;
    for (const word of instruction.values) yield { ...word, about: instruction };
  }
}

/** The last comment line above a definition must describe one of its names. */
function* wrongComment(
  about: InstructionBase,
  comments: readonly Word[],
  names: readonly string[],
): Generator<Finding> {
  const last = comments.at(-1);
  if (last === undefined || /^check\s*=/i.test(last.text)) return;
  if (names.some((name) => description([last], name) !== undefined)) return;
  const example = names.length > 1 ? '<name>' : (names[0] ?? '');
  yield { about, range: last.range, message: `the comment should be \`# ${example} <description>\`` };
}

function undefinedNames(text: string, escape: string): readonly string[] {
  const names: string[] = [];
  attempt(() =>
    expandWord(text, { escape, lookup: () => undefined, onUndefined: (name) => names.push(name) }),
  );
  return names;
}

function isPlatform(name: string): boolean {
  return platformArgNames.includes(name);
}

/** A value, or undefined where the user's text is faulty: the fault itself is reported when it matters. */
function attempt<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}
