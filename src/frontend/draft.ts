import type { ErrorCode } from '../util/error-codes.ts';
import { BuildError } from '../util/build-error.ts';
import type { Range } from '../util/source.ts';
import type { Heredoc } from './heredoc.ts';
import type { InstructionBase } from './instruction.ts';
import type { PlacedWord, Word } from './lex.ts';
import { blanks, readJsonArray, wordAt } from './lex.ts';
import type { LogicalText } from './text.ts';
import { rangeOf } from './text.ts';

/** An instruction while it is read: its text, and where its faults go. */
export interface Draft {
  readonly base: InstructionBase;
  /** The instruction's name in upper case. */
  readonly name: string;
  readonly logical: LogicalText;
  /** Offset in `logical.text` of the first argument. */
  readonly argsAt: number;
  readonly escape: string;
  readonly heredocs: readonly Heredoc[];
  readonly comments: readonly Word[];
  /** Reports a fault; the instruction may still be returned so that later faults are found. */
  readonly fail: (
    code: ErrorCode,
    message: string,
    about?: { range?: Range; hint?: string | undefined },
  ) => void;
}

/** The rest of a text from `at` on as one word, without blanks around it. */
export function restAt({ logical }: Draft, at: number): PlacedWord {
  return wordAt(logical, Math.min(at, logical.text.length), logical.text.length);
}

/** What a text in JSON form says; undefined for one that is no JSON array; 'faulty' where a fault was reported (L-PARSE-8). */
export function readJson(draft: Draft, { text, range }: Word): readonly string[] | 'faulty' | undefined {
  const args = readJsonArray(text);
  if (args === 'not-strings') {
    draft.fail('DOCKERFILE_SYNTAX', 'the JSON form takes an array of strings only', { range });
    return 'faulty';
  }
  if (args?.some((arg) => arg.includes('\0')) !== true) return args;
  draft.fail('DOCKERFILE_SYNTAX', 'an argument has a NUL character', { range });
  return 'faulty';
}

const firstWord = new RegExp(`^[^${blanks}]+`);

/** Errors that are reported of one file: more would help nobody, and a file may be made of nothing else. */
export const mostErrors = 100;

/** A draft for one joined text; faults are pushed to `errors`. */
export function makeDraft(
  logical: LogicalText,
  about: {
    readonly escape: string;
    readonly heredocs: readonly Heredoc[];
    readonly range: Range;
    readonly comments: readonly Word[];
    readonly skip: readonly string[];
    readonly experimental: readonly string[];
  },
  errors: BuildError[],
): Draft {
  const keyword = firstWord.exec(logical.text)?.[0] ?? '';
  const argsAt = keyword.length + (/^\s*/.exec(logical.text.slice(keyword.length))?.[0].length ?? 0);
  const { source } = logical.map;
  const base: InstructionBase = {
    source,
    range: about.range,
    keyword: { text: keyword, range: rangeOf(logical, 0, keyword.length) },
    text: logical.text,
    skip: about.skip,
    experimental: about.experimental,
  };
  return {
    base,
    name: keyword.toUpperCase(),
    logical,
    argsAt,
    escape: about.escape,
    heredocs: about.heredocs,
    comments: about.comments,
    fail: (code, message, { range, hint } = {}) => {
      if (errors.length >= mostErrors) return;
      const at = range ?? rangeOf(logical, 0, logical.text.length);
      errors.push(new BuildError(code, message, { hint, source: { source, range: at } }));
    },
  };
}
