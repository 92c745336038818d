import type { Edit } from '../../util/edit.ts';
import { parseReference } from '../../oci/reference.ts';
import type { FromInstruction, InstructionBase } from '../instruction.ts';
import type { Word } from '../lex.ts';
import { description } from '../outline.ts';
import { platformArgNames } from '../scope.ts';
import { didYouMean } from '../suggest.ts';
import { expandWord } from '../words.ts';
import type { Finding, TextRule } from './finding.ts';
import { attempt, casing, replaceWord, usedNames } from './finding.ts';
import type { CheckName } from './rules.ts';

/** The checks of FROM and of definitions that need the text alone (6.3). */
export const fromRules: Readonly<Partial<Record<CheckName, TextRule>>> = {
  *StageNameCasing({ stages }) {
    for (const { from } of stages) {
      const name = from.as?.name;
      if (name === undefined || name.text === name.text.toLowerCase()) continue;
      yield {
        about: from,
        range: name.range,
        fix: replaceWord(name, name.text.toLowerCase()),
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
        fix: replaceWord(as, casing(from.keyword.text) === 'lower' ? 'as' : 'AS'),
        message: `\`${as.text}\` and \`${from.keyword.text}\` differ in casing`,
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
  *UndefinedArgInFrom(file) {
    const declared = new Set(file.globalArgs.flatMap(({ args }) => args.map(({ name }) => name.text)));
    for (const { from } of file.stages) {
      for (const word of [from.image, from.platform]) {
        for (const name of word === undefined ? [] : usedNames(word.text, file.directives.escape)) {
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
  *RedundantTargetPlatform({ stages, directives }) {
    for (const { from } of stages) {
      const { text = '', range } = from.platform ?? {};
      const lookup = (name: string): string | undefined => (name === 'TARGETPLATFORM' ? '*' : undefined);
      const result = attempt(() => expandWord(text, { escape: directives.escape, lookup }));
      if (text === '*' || result !== '*') continue;
      yield {
        about: from,
        range,
        message: '`$TARGETPLATFORM` is the default of FROM',
        fix: withoutFlags(from),
      };
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
        usedNames(from.image.text, escape).some((name) => isPlatform(name))
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
};

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
  yield { about, range: about.range, message: `the comment above should be \`# ${example} <description>\`` };
}

/** FROM has one flag: it goes with the blanks behind it. */
function withoutFlags({ keyword, image }: FromInstruction): readonly Edit[] | undefined {
  const { end } = keyword.range;
  const { start } = image.range;
  return end.line === start.line ? [{ range: { start: end, end: start }, text: ' ' }] : undefined;
}

function isPlatform(name: string): boolean {
  return platformArgNames.includes(name);
}
