import type { CheckResult, CheckRuleInfo, Diagnostic, Range, SourceLocation } from '../index.ts';
import { reportError, reportFinding } from './report.ts';
import { sanitizeLine } from './sanitize.ts';

/** How the result of the checks is written. */
export const checkFormats = ['text', 'json', 'sarif'] as const;
export type CheckFormat = (typeof checkFormats)[number];

/** The result for people: every finding and error with its lines, then the count (6.3). */
export function checkText({ findings, errors, fixed }: CheckResult, color: boolean): string {
  let out = '';
  for (const { rule, message, source } of fixed?.findings ?? [])
    out += `fixed ${rule}: ${sanitizeLine(message)}${source === undefined ? '' : ` (line ${source.range.start.line})`}\n`;
  if (out !== '') out += '\n';
  for (const finding of findings) out += `${reportFinding(finding, color)}\n`;
  for (const error of errors) out += `${reportError(alone(error), { color, debug: false })}\n`;
  return `${out}${summary(findings.length, errors.length)}\n`;
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

/** The keys of docker build --call=check,format=json; ranges are 1-based. */
export function checkJson({ source, findings, errors, fixed }: CheckResult): string {
  const names = sourcesOf(findings, source.name);
  const finding = (item: Diagnostic): unknown => ({
    ruleName: item.rule,
    description: item.message,
    ...(item.url === undefined ? {} : { url: item.url }),
    ...(item.hint === undefined ? {} : { detail: item.hint }),
    ...location(item.source, names),
    ...(item.fix === undefined ? {} : { fix: item.fix }),
  });
  const first = errors[0];
  return json({
    sources: [
      { filename: source.name, language: 'Dockerfile', data: Buffer.from(source.text).toString('base64') },
    ],
    warnings: findings.map(finding),
    ...(fixed === undefined ? {} : { fixed: fixed.findings.map(finding) }),
    ...(first === undefined
      ? {}
      : {
          buildError: { code: first.code, message: first.message, ...location(first.source, names) },
          buildErrors: errors.map((error) => ({
            code: error.code,
            message: error.message,
            ...(error.hint === undefined ? {} : { hint: error.hint }),
            ...location(error.source, names),
          })),
        }),
  });
}

function sourcesOf(findings: readonly Diagnostic[], main: string): readonly string[] {
  return [
    ...new Set([
      main,
      ...findings.flatMap(({ source }) => (source === undefined ? [] : [source.source.name])),
    ]),
  ];
}

function location(
  source: SourceLocation | undefined,
  names: readonly string[],
): { readonly location?: unknown } {
  if (source === undefined) return {};
  return {
    location: { sourceIndex: Math.max(0, names.indexOf(source.source.name)), ranges: [source.range] },
  };
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
  const place = (source: SourceLocation | undefined): unknown => [
    {
      physicalLocation: {
        artifactLocation: { uri },
        ...(source === undefined ? {} : { region: region(source.range) }),
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
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
