import type { Flag } from './flags.ts';
import { lexFlags } from './flags.ts';
import type { Word } from './lex.ts';
import type { Draft } from './draft.ts';
import { didYouMean } from '../util/suggest.ts';

export type FlagKind = 'word' | 'bool' | 'list';

/** The flags of one instruction, checked against what it knows; faults are reported to the draft. */
export interface FlagSet {
  readonly word: (name: string) => Word | undefined;
  readonly bool: (name: string) => boolean | undefined;
  readonly list: (name: string) => readonly Flag[];
  /** Offset in the draft's text of what follows the flags. */
  readonly rest: number;
}

/** Reads an instruction's builder flags (L-PARSE-9). */
export function readFlags(draft: Draft, known: Readonly<Record<string, FlagKind>>): FlagSet {
  const { flags, rest } = lexFlags(draft.logical, draft.argsAt);
  const accepted: Flag[] = [];
  const seen = new Set<string>();
  for (const flag of flags) {
    const kind = Object.hasOwn(known, flag.name) ? known[flag.name] : undefined;
    if (kind === undefined) {
      draft.fail('DOCKERFILE_UNKNOWN_FLAG', `${draft.name} has no flag \`--${flag.name}\``, {
        range: flag.nameRange,
        hint:
          didYouMean(
            `--${flag.name}`,
            Object.keys(known).map((name) => `--${name}`),
          ) ??
          (Object.keys(known).length === 0
            ? `${draft.name} takes no flags`
            : `it knows ${Object.keys(known)
                .map((name) => `--${name}`)
                .join(', ')}`),
      });
    } else if (kind !== 'list' && seen.has(flag.name)) {
      draft.fail('DOCKERFILE_SYNTAX', `the flag \`--${flag.name}\` stands twice`, { range: flag.nameRange });
    } else if (checkValue(draft, flag, kind)) {
      seen.add(flag.name);
      accepted.push(flag);
    }
  }
  const find = (name: string): Flag | undefined => accepted.find((flag) => flag.name === name);
  return {
    word: (name) => {
      const flag = find(name);
      return flag === undefined ? undefined : { text: flag.value ?? '', range: flag.valueRange };
    },
    bool: (name) => {
      const flag = find(name);
      return flag === undefined ? undefined : (flag.value ?? 'true').toLowerCase() === 'true';
    },
    list: (name) => accepted.filter((flag) => flag.name === name),
    rest,
  };
}

function checkValue(draft: Draft, flag: Flag, kind: FlagKind): boolean {
  if (kind === 'bool') {
    if (flag.value === undefined || ['true', 'false'].includes(flag.value.toLowerCase())) return true;
    draft.fail(
      'DOCKERFILE_BAD_ARGUMENT',
      `\`--${flag.name}\` is either true or false, not \`${flag.value}\``,
      {
        range: flag.valueRange,
      },
    );
    return false;
  }
  if (flag.value !== undefined && flag.value !== '') return true;
  draft.fail('DOCKERFILE_SYNTAX', `\`--${flag.name}\` needs a value`, {
    range: flag.range,
    hint: `write --${flag.name}=<value>`,
  });
  return false;
}
