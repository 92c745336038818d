import { BuildError } from '../util/build-error.ts';
import type { Diagnostic } from '../index.ts';
import { codeFrame, linesOf } from './frame.ts';
import type { FailedLog } from './log-tail.ts';
import { sanitize, sanitizeLine } from './sanitize.ts';
import { styleFor } from './style.ts';
import type { Style } from './style.ts';

export interface ReportOptions {
  readonly color: boolean;
  /** With stacks and causes (E-6). */
  readonly debug: boolean;
}

/** What a command that ends with this error exits with. */
export function exitStatus(error: unknown): number {
  return error instanceof BuildError ? error.exitStatus : 70;
}

/**
 * An error as the user sees it: the sentence, their own line, notes and hint (DESIGN section 7, E-1 to E-6); each further
 * error of the run after a blank line. Anything but a BuildError is a bug and comes with its stack. Ends with a newline.
 */
export function reportError(error: unknown, options: ReportOptions): string {
  const style = styleFor(options.color);
  if (!(error instanceof BuildError) || error.code === 'INTERNAL') return reportBug(error, style);
  // An error may be listed under several others; each is told once.
  const told = new Set<BuildError>();
  const all: BuildError[] = [];
  const visit = (item: BuildError): void => {
    if (told.has(item)) return;
    told.add(item);
    all.push(item);
    item.others.forEach(visit);
  };
  visit(error);
  return all.map((item) => reportOne(item, style, options.debug)).join('\n');
}

function reportOne(error: BuildError, style: Style, debug: boolean): string {
  let out = heading(`error[${error.code}]`, error.message, style);
  const gutter = error.source === undefined ? '  ' : ' '.repeat(String(lastShownLine(error)).length + 1);
  if (error.source !== undefined) out += codeFrame(error.source, style);
  for (const [name, text] of notes(error)) out += note({ gutter, name, text }, style);
  if (debug) {
    out += dimmed(error.stack?.split('\n').slice(1).join('\n'), style);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
      out += dimmed(`caused by ${cause.stack ?? cause.message}`, style);
    }
  }
  return out;
}

function* notes(error: BuildError): Generator<readonly [name: string, text: string]> {
  const { command, exitCode } = error.details;
  if (error.code === 'STEP_FAILED') {
    if (typeof command === 'string') yield ['command', firstLines(command)];
    else if (Array.isArray(command)) yield ['command', firstLines(command.join(' '))];
    if (typeof exitCode === 'number') yield ['exit code', String(exitCode)];
  }
  if (error.hint !== undefined) yield ['hint', error.hint];
}

// The script of a heredoc may have hundreds; the frame shows it anyway.
function firstLines(text: string): string {
  const lines = text.split('\n');
  return lines.length > 4 ? [...lines.slice(0, 3), '…'].join('\n') : text;
}

function note({ gutter, name, text }: { gutter: string; name: string; text: string }, style: Style): string {
  const lines = sanitize(text).replaceAll('\t', ' ').trimEnd().split('\n');
  const label = `${gutter}= ${name}: `;
  return `${gutter}${style.cyan(`= ${name}:`)} ${lines.join(`\n${' '.repeat(label.length)}`)}\n`;
}

function heading(label: string, message: string, style: Style): string {
  const [first = '', ...rest] = sanitize(message).trimEnd().split('\n');
  return `${style.red(style.bold(label))}: ${style.bold(first)}\n${rest.map((line) => `  ${line}`.trimEnd() + '\n').join('')}`;
}

function lastShownLine(error: BuildError): number {
  const { source } = error;
  if (source === undefined) return 0;
  const { start, end } = source.range;
  const last = end.column === 1 && end.line > start.line ? end.line - 1 : end.line;
  return Math.max(start.line, Math.min(last, linesOf(source.source).length));
}

function dimmed(text: string | undefined, style: Style): string {
  return text === undefined || text === '' ? '' : `${style.dim(sanitize(text))}\n`;
}

function reportBug(error: unknown, style: Style): string {
  const cause = error instanceof BuildError && error.cause instanceof Error ? error.cause : error;
  const message = error instanceof Error ? error.message : String(error);
  const stack = cause instanceof Error ? cause.stack : undefined;
  const hint = `  ${style.cyan('= hint:')} this is a bug in tsbuild, please report it with the lines above\n`;
  return `${heading('error[INTERNAL]', message, style)}${dimmed(stack, style)}${hint}`;
}

/** The last lines of each failed step between two rulers (U-7). */
export function reportFailedLogs(logs: readonly FailedLog[], color: boolean): string {
  const style = styleFor(color);
  const ruler = `${style.dim('------')}\n`;
  return logs
    .filter(({ lines }) => lines.length > 0)
    .map(
      ({ name, lines }) =>
        `${ruler} > ${style.bold(name)}:\n${lines.map((line) => `${line}\n`).join('')}${ruler}`,
    )
    .join('');
}

/** The list of warnings that ends a build (U-13), one line each; with `debug` each with the user's line and a link. */
export function reportDiagnostics(diagnostics: readonly Diagnostic[], options: ReportOptions): string {
  const style = styleFor(options.color);
  const warnings = diagnostics.filter(({ severity }) => severity === 'warning');
  let out = diagnostics
    .filter(({ severity }) => severity === 'note')
    .map((item) => diagnosticLine(item, `${style.cyan('note')}: `))
    .join('');
  if (warnings.length === 0) return out;
  const more = options.debug ? '' : ' (use --debug to expand)';
  out += style.yellow(` ${warnings.length} warning${warnings.length === 1 ? '' : 's'} found${more}:`) + '\n';
  for (const item of warnings) {
    out += options.debug ? diagnosticFrame(item, style) : diagnosticLine(item, ` - ${item.rule}: `);
  }
  return out;
}

/** One warning or note at once, for commands without a list at their end. */
export function reportNotice(diagnostic: Diagnostic, color: boolean): string {
  const style = styleFor(color);
  const label = diagnostic.severity === 'warning' ? style.yellow('warning') : style.cyan('note');
  return diagnosticLine(diagnostic, `${label}: `);
}

/** Other hints are told with --debug; a spelling is what most are for (E-3). */
function diagnosticLine(item: Diagnostic, start: string): string {
  const near = item.hint?.startsWith('did you mean ') === true ? `: ${item.hint}` : '';
  const place = item.source === undefined ? '' : ` (line ${item.source.range.start.line})`;
  return `${start}${sanitizeLine(`${item.message}${near}`)}${place}\n`;
}

/** One finding of the build checks with the user's lines. */
export function reportFinding(finding: Diagnostic, color: boolean): string {
  return diagnosticFrame(finding, styleFor(color)).slice(1);
}

function diagnosticFrame(item: Diagnostic, style: Style): string {
  const gutter = item.source === undefined ? '  ' : ' '.repeat(String(item.source.range.end.line).length + 1);
  let out = `\n${style.yellow(style.bold(`warning[${item.rule}]`))}: ${style.bold(sanitizeLine(item.message))}\n`;
  if (item.source !== undefined) out += codeFrame(item.source, style);
  if (item.hint !== undefined) out += note({ gutter, name: 'hint', text: item.hint }, style);
  if (item.url !== undefined) out += note({ gutter, name: 'see', text: item.url }, style);
  return out;
}
