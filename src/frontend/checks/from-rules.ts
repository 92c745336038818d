import type { Edit } from '../../util/edit.ts';
import { parsePlatform } from '../../oci/platform.ts';
import { parseReference } from '../../oci/reference.ts';
import type { FromInstruction, InstructionBase } from '../instruction.ts';
import type { Word } from '../lex.ts';
import { description } from '../outline.ts';
import { platformArgNames } from '../scope.ts';
import { didYouMean } from '../../util/suggest.ts';
import type { Stage } from '../stages.ts';
import { findStage, namesIn } from '../stages.ts';
import { expandWord } from '../words.ts';
import type { Finding, TextRule } from './finding.ts';
import { attempt, casing, replaceWord, usedNames } from './finding.ts';
import type { CheckName } from './rules.ts';

/** The checks of FROM and of definitions that need the text alone (6.3). */
export const fromRules: Readonly<Partial<Record<CheckName, TextRule>>> = {
  *StageNameCasing({ stages }) {
    const uses = stages.some(({ from }) => isUpper(from.as?.name)) ? usesOfStages(stages) : new Map();
    for (const { index, from } of stages) {
      const name = from.as?.name;
      if (name === undefined || !isUpper(name)) continue;
      yield {
        about: from,
        range: name.range,
        fix: inLowerCase(name, uses.get(index) ?? []),
        message: `the stage name \`${name.text}\` should be lower case`,
      };
    }
  },
  *FromAsCasing({ stages }) {
    for (const { from } of stages) {
      const as = from.as?.keyword;
      const wanted = casing(from.keyword.text);
      // A FROM of mixed case is what ConsistentInstructionCasing is about.
      if (as === undefined || wanted === 'mixed' || casing(as.text) === wanted) continue;
      yield {
        about: from,
        range: as.range,
        fix: replaceWord(as, wanted === 'lower' ? 'as' : 'AS'),
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
  *InvalidDefaultArgInFrom({ stages, directives: { escape }, defaults }) {
    if (defaults === undefined) return;
    const values = new Map(defaults);
    for (const { from } of stages) {
      const { text, range } = from.image;
      if (!text.includes('$')) continue;
      const image = attempt(() => expandWord(text, { escape, lookup: (name) => values.get(name) }));
      // A faulty word, or `${x:?}`: who gives no value is told by the build.
      if (image === undefined) return;
      if (attempt(() => parseReference(image)) !== undefined) continue;
      yield {
        about: from,
        range,
        message: `with the default values of its ARGs, \`${text}\` is no image`,
        hint: 'give the ARG before FROM a default value',
      };
    }
  },
  *FromPlatformFlagConstDisallowed({ stages, directives: { escape } }) {
    for (const { name = '', from } of stages) {
      const { text = '', range } = from.platform ?? {};
      if (text === '' || usedNames(text, escape).length > 0) continue;
      const platform = attempt(() => parsePlatform(expandWord(text, { escape, lookup: () => undefined })));
      // One that is none is a fault.
      if (platform === undefined || name.includes(platform.os) || name.includes(platform.architecture))
        continue;
      yield {
        about: from,
        range,
        message: `FROM should not fix its platform to \`${text}\``,
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

function isUpper(word: Word | undefined): boolean {
  return word !== undefined && word.text !== word.text.toLowerCase();
}

/** Where stages are called by names with capitals, by the stage that is meant. */
function usesOfStages(stages: readonly Stage[]): ReadonlyMap<number, readonly Word[]> {
  const uses = new Map<number, Word[]>();
  for (const stage of stages) {
    for (const word of [stage.from.image, ...namesIn(stage)]) {
      const how = { before: stage.index, byIndex: false };
      const meant = isUpper(word) ? findStage(stages, word.text, how) : undefined;
      if (meant === undefined) continue;
      const list = uses.get(meant.index);
      if (list === undefined) uses.set(meant.index, [word]);
      else list.push(word);
    }
  }
  return uses;
}

/** The name and its uses, those alone that stand in one line as they are: a name means the same in any case. */
function inLowerCase(name: Word, uses: readonly Word[]): readonly Edit[] | undefined {
  const edits = replaceWord(name, name.text.toLowerCase());
  return edits?.concat(uses.flatMap((word) => replaceWord(word, word.text.toLowerCase()) ?? []));
}
