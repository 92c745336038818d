import type { Edit } from '../../util/edit.ts';
import type { Range, SourceText } from '../../util/source.ts';
import type { ArgInstruction, Instruction, InstructionBase } from '../instruction.ts';
import type { EmptyLine } from '../parse.ts';
import type { EnvList } from '../scope.ts';
import type { Word } from '../lex.ts';
import type { Stage } from '../stages.ts';
import type { Expansion } from '../words.ts';
import { expandWord } from '../words.ts';

/** What a rule has to say about a place. */
export interface Finding {
  readonly message: string;
  readonly hint?: string | undefined;
  readonly range?: Range | undefined;
  /** The instruction it is about: gives the source, and the rules that are switched off there. */
  readonly about?: InstructionBase | undefined;
  readonly source?: SourceText | undefined;
  /** What would satisfy the rule without changing the graph or the image's config. */
  readonly fix?: readonly Edit[] | undefined;
}

/** What rules look at. */
export interface LintInput {
  readonly source: SourceText;
  readonly directives: { readonly escape: string };
  readonly instructions: readonly Instruction[];
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  readonly emptyContinuations: readonly EmptyLine[];
  /** The stages whose instructions count: as with BuildKit most rules look at no others. Names and FROM count in all. */
  readonly built: readonly Stage[];
  /** The ARGs before the first FROM with their default values, and the automatic ones; undefined: a default is faulty. */
  readonly defaults?: EnvList | undefined;
}

export type TextRule = (file: LintInput) => Iterable<Finding>;

export function casing(text: string): 'upper' | 'lower' | 'mixed' {
  if (text === text.toUpperCase()) return 'upper';
  return text === text.toLowerCase() ? 'lower' : 'mixed';
}

/** The change of a word that stands in one line as it is; undefined for one that continuation marks divide. */
export function replaceWord(word: Word, text: string): readonly Edit[] | undefined {
  const { start, end } = word.range;
  const whole = start.line === end.line && end.column - start.column === word.text.length;
  return whole ? [{ range: word.range, text }] : undefined;
}

/** A value, or undefined where the user's text is faulty: the fault itself is reported when it matters. */
export function attempt<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

/** The names of all variables that a text uses, those that have a default there included. */
export function usedNames(text: string, escape: Expansion['escape']): readonly string[] {
  const names: string[] = [];
  attempt(() => expandWord(text, { escape, lookup: (name) => void names.push(name) }));
  return [...new Set(names)];
}
