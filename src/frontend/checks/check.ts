import type { Diagnostic } from '../../util/diagnostic.ts';
import type { InstructionBase } from '../instruction.ts';
import type { Finding, LintInput } from './finding.ts';
import { fromRules } from './from-rules.ts';
import { instructionRules } from './instruction-rules.ts';
import type { CheckOptions } from './options.ts';
import { namesRule } from './options.ts';
import { checkRule, checkUrl } from './rules.ts';

/** The checks that need the text alone, and the values of ARGs that FROM uses; in source order. */
export function lintText(file: LintInput, check: CheckOptions): readonly Diagnostic[] {
  const found: Diagnostic[] = [];
  for (const [rule, find] of Object.entries({ ...fromRules, ...instructionRules })) {
    for (const finding of find(file)) {
      const diagnostic = makeDiagnostic(rule, finding, check);
      if (diagnostic !== undefined) found.push(diagnostic);
    }
  }
  return found.toSorted(bySource);
}

/** A finding as users see it; undefined where `# check=` switches its rule off. */
export function makeDiagnostic(rule: string, finding: Finding, check: CheckOptions): Diagnostic | undefined {
  const about = finding.about;
  const skip = [...check.skip, ...(about?.skip ?? [])];
  if (checkRule(rule)?.experimental === true) {
    // `skip=all` is about the others: who asks for an experimental rule gets it.
    const isAsked = namesRule([...check.experimental, ...(about?.experimental ?? [])], rule);
    if (
      !isAsked ||
      namesRule(
        skip.filter((name) => name.toLowerCase() !== 'all'),
        rule,
      )
    )
      return undefined;
  } else if (namesRule(skip, rule)) return undefined;
  const source = finding.about?.source ?? finding.source;
  const url = checkUrl(rule);
  return {
    severity: 'warning',
    rule,
    message: finding.message,
    ...(url === undefined ? {} : { url }),
    ...(finding.hint === undefined ? {} : { hint: finding.hint }),
    ...(finding.fix === undefined ? {} : { fix: finding.fix }),
    ...(source === undefined || finding.range === undefined
      ? {}
      : { source: { source, range: finding.range } }),
  };
}

/** Order of diagnostics: by file, place, then rule; those without a place last. */
export function bySource(left: Diagnostic, right: Diagnostic): number {
  const [file, other] = [left.source?.source.name, right.source?.source.name];
  if (file !== undefined && other !== undefined && file !== other) return file < other ? -1 : 1;
  const a = left.source?.range.start ?? { line: Number.MAX_SAFE_INTEGER, column: 0 };
  const b = right.source?.range.start ?? { line: Number.MAX_SAFE_INTEGER, column: 0 };
  return (
    a.line - b.line || a.column - b.column || (left.rule < right.rule ? -1 : left.rule > right.rule ? 1 : 0)
  );
}

/** A finding about an instruction, at one of its words or at all of it. */
export function findingAt(
  about: InstructionBase,
  message: string,
  more: { readonly range?: Finding['range']; readonly hint?: string | undefined } = {},
): Finding {
  return { about, message, range: more.range ?? about.range, hint: more.hint };
}
