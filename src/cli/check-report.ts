import type { CheckResult, CheckRuleInfo, Diagnostic, Range, SourceLocation } from '../index.ts';
import { reportError, reportFinding } from './report.ts';
import { jsonText, sanitizeLine } from './sanitize.ts';

/** How the result of the checks is written. */
export const checkFormats = ['text', 'json', 'sarif'] as const;
export type CheckFormat = (typeof checkFormats)[number];

/** The result for people: every finding and error with its lines, then the count (6.3). */
export function checkText(
  { findings, errors, fixed, unknownBases }: CheckResult,
  { color, isDry = false }: { readonly color: boolean; readonly isDry?: boolean },
): string {
  let out = '';
  for (const { rule, message, source } of fixed?.findings ?? []) {
    const line = source === undefined ? '' : ` (line ${source.range.start.line})`;
    out += `${isDry ? 'would fix' : 'fixed'} ${rule}: ${sanitizeLine(message)}${line}\n`;
  }
  if (out !== '') out += '\n';
  for (const finding of findings) out += `${reportFinding(finding, color)}\n`;
  for (const error of errors) out += `${reportError(alone(error), { color, debug: false })}\n`;
  if (unknownBases.length > 0)
    out += `note: not in the store, so their variables are not known: ${sanitizeLine(unknownBases.join(', '))}\n`;
  // What would be fixed is still there.
  const left = findings.length + (isDry ? (fixed?.findings.length ?? 0) : 0);
  return `${out}${summary(left, errors.length)}\n`;
}

function summary(findings: number, errors: number): string {
  const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? '' : 's'}`;
  if (errors > 0) return `Check failed: ${count(errors, 'error')}, ${count(findings, 'warning')}.`;
  return findings === 0
    ? 'Check complete, no warnings found.'
    : `Check complete, ${count(findings, 'warning')} found.`;
}

/** An error whose others are told on their own. */
function alone<T extends CheckResult['errors'][number]>(error: T): T {
  return error.others.length === 0 ? error : Object.assign(Object.create(error) as T, { others: [] });
}

/** The keys of docker build --call=check,format=json; ranges are 1-based. `fixed` and `fix` are ours. */
export function checkJson(
  { source, findings, errors, fixed, unknownBases }: CheckResult,
  rules: readonly CheckRuleInfo[],
): string {
  // What was fixed stands in the text as it was.
  const items = [...findings, ...errors, ...(fixed?.findings ?? [])];
  const sources = [...new Set([source, ...items.flatMap((item) => item.source?.source ?? [])])];
  const location = (at: SourceLocation | undefined): { readonly location?: unknown } =>
    at === undefined
      ? {}
      : { location: { sourceIndex: Math.max(0, sources.indexOf(at.source)), ranges: [at.range] } };
  const descriptions = new Map(rules.map(({ name, description }) => [name, description]));
  const finding = (item: Diagnostic): unknown => ({
    ruleName: item.rule,
    description: descriptions.get(item.rule),
    url: item.url,
    detail: item.message,
    hint: item.hint,
    ...location(item.source),
    fix: item.fix,
  });
  const error = ({ code, message, hint, source: at }: CheckResult['errors'][number]): unknown => ({
    code,
    message,
    hint,
    ...location(at),
  });
  return json({
    sources: sources.map(({ name, text }) => ({
      filename: name,
      language: 'Dockerfile',
      data: Buffer.from(text).toString('base64'),
    })),
    warnings: findings.map(finding),
    ...(fixed === undefined ? {} : { fixed: fixed.findings.map(finding) }),
    ...(unknownBases.length === 0 ? {} : { unknownBases }),
    ...(errors[0] === undefined ? {} : { buildError: error(errors[0]), buildErrors: errors.map(error) }),
  });
}

/**
 * SARIF 2.1.0, as code hosts read it. Columns are counted in UTF-16 code units, as `columnKind` says. A fix is given where it lies in one
 * file, with all its replacements.
 */
export function checkSarif(
  result: CheckResult,
  about: { readonly version: string; readonly rules: readonly CheckRuleInfo[]; readonly uri: string },
): string {
  const { rules, uri } = about;
  // Places in triggers of a base image are in no file of the user's.
  const place = (at: SourceLocation | undefined): unknown => [
    {
      physicalLocation: {
        artifactLocation: { uri },
        ...(at?.source === result.source ? { region: region(at.range) } : {}),
      },
    },
  ];
  const finding = (item: Diagnostic): unknown => ({
    ruleId: item.rule,
    ruleIndex: rules.findIndex(({ name }) => name === item.rule),
    level: 'warning',
    message: { text: item.hint === undefined ? item.message : `${item.message}; ${item.hint}` },
    locations: place(item.source),
    ...(item.fix === undefined
      ? {}
      : {
          fixes: [
            {
              description: { text: `Satisfy ${item.rule}.` },
              artifactChanges: [
                {
                  artifactLocation: { uri },
                  replacements: item.fix.map(({ range, text }) => ({
                    deletedRegion: region(range),
                    insertedContent: { text },
                  })),
                },
              ],
            },
          ],
        }),
  });
  const errors = result.errors.map((error) => ({
    ruleId: error.code,
    level: 'error',
    message: { text: error.hint === undefined ? error.message : `${error.message}; ${error.hint}` },
    locations: place(error.source),
  }));
  return json({
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'tsbuild',
            version: about.version,
            rules: rules.map(({ name, description, url }) => ({
              id: name,
              shortDescription: { text: description },
              ...(url === undefined ? {} : { helpUri: url }),
              defaultConfiguration: { level: 'warning' },
            })),
          },
        },
        columnKind: 'utf16CodeUnits',
        results: [...result.findings.map(finding), ...errors],
      },
    ],
  });
}

function region({ start, end }: Range): unknown {
  return { startLine: start.line, startColumn: start.column, endLine: end.line, endColumn: end.column };
}

function json(value: unknown): string {
  return `${jsonText(value, 2)}\n`;
}
