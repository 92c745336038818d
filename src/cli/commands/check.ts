import { renameSync, rmSync, statSync, writeFileSync, realpathSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Option } from 'commander';
import type { BuildOptions, CheckResult } from '../../index.ts';
import { BuildError } from '../../util/build-error.ts';
import type { PlanFlags } from '../build-flags.ts';
import { addPlanFlags } from '../build-flags.ts';
import { planOptions } from '../build-options.ts';
import type { CheckFormat } from '../check-report.ts';
import { checkFormats, checkJson, checkSarif, checkText } from '../check-report.ts';
import { contextWord } from '../context-word.ts';
import type { CliContext, Library } from '../context.ts';
import { hasColor } from '../context.ts';
import { newCommand } from '../options.ts';
import { parseChoice } from '../values.ts';
import type { Verb } from '../verbs.ts';

interface CheckFlags extends PlanFlags {
  readonly format: CheckFormat;
  readonly fix?: boolean;
}

/** `tsbuild check`: status 1 when something is found or the file is faulty, 0 when all is well. Runs nothing. */
export const check: Verb = {
  define: () =>
    addPlanFlags(
      newCommand(
        'check',
        'Checks a Dockerfile without building it; ends with status 1 when something is found.',
      )
        .usage('[options] PATH | URL | -')
        .argument('[words...]')
        .option('--fix', 'change the Dockerfile where a rule can be satisfied without changing the image')
        .addOption(
          new Option('--format <format>', 'text, json or sarif')
            .default('text')
            .argParser((text) => parseChoice(text, '--format', checkFormats)),
        ),
    ),
  run: async (command, context) => {
    const flags = command.opts<CheckFlags>();
    const options = planOptions(flags, contextWord(command.args).context, context);
    if (flags.fix !== true) return runCheck(options, flags.format, context);
    const library = await context.library();
    const file = await fileToFix(options, library);
    const result = await library.check({ ...options, fix: true });
    // A file from stdin has no place to go back to: the new text is the answer, and the report goes aside.
    const report = (await reportOf(result, flags.format, { file, context })) + unfixed(result, flags.format);
    if (file === undefined) {
      context.stdout.write(result.source.text);
      context.stderr.write(report);
    } else {
      if (result.fixed !== undefined) replaceFile(file, result.fixed.text);
      context.stdout.write(report);
    }
    return statusOf(result);
  },
};

/** Why `--fix` left the file alone, for people. */
function unfixed({ errors, fixed }: CheckResult, format: CheckFormat): string {
  return format === 'text' && errors.length > 0 && fixed === undefined
    ? 'Nothing was fixed: correct the errors first.\n'
    : '';
}

/** Checks and writes the result to stdout. Returns the exit status. */
export async function runCheck(
  options: BuildOptions,
  format: CheckFormat,
  context: CliContext,
): Promise<number> {
  const library = await context.library();
  const result = await library.check(options);
  context.stdout.write(await reportOf(result, format, { file: localFile(options), context }));
  return statusOf(result);
}

function statusOf({ findings, errors }: CheckResult): number {
  return findings.length === 0 && errors.length === 0 ? 0 : 1;
}

async function reportOf(
  result: CheckResult,
  format: CheckFormat,
  { file, context }: { readonly file: string | undefined; readonly context: CliContext },
): Promise<string> {
  if (format === 'text') return checkText(result, hasColor(context.stdout, context.env));
  if (format === 'json') return checkJson(result);
  const library = await context.library();
  const uri = encodeURI(file === undefined ? result.source.name : relative(process.cwd(), file));
  return checkSarif(result, { version: library.version, rules: await library.listChecks(), uri });
}

/** The Dockerfile of these options on this machine; undefined: it comes from elsewhere. */
function localFile({ context = '.', dockerfile }: BuildOptions): string | undefined {
  if (typeof context === 'object' || typeof dockerfile === 'object') return undefined;
  const usual = ['Dockerfile', 'dockerfile'].map((name) => join(context, name));
  const names = dockerfile === undefined ? usual : [dockerfile];
  return names.find((name) => statSync(name, { throwIfNoEntry: false })?.isFile());
}

async function fileToFix(options: BuildOptions, library: Library): Promise<string | undefined> {
  if (typeof options.dockerfile === 'object') return undefined;
  const file = localFile(options);
  if (file !== undefined) return file;
  const { context = '.' } = options;
  // Where a directory merely lacks the file, the check itself says what is missing.
  if (typeof context === 'string' && statSync(context, { throwIfNoEntry: false })?.isDirectory() === true)
    await library.check(options);
  throw new BuildError('USAGE', 'only a Dockerfile of this machine can be fixed', {
    hint: 'name it with -f, or pass its text with `-f -` and get the new one on stdout',
  });
}

/** The new text in place of the old one, whole or not at all; a link stays a link, the mode stays. */
function replaceFile(file: string, text: string): void {
  const path = realpathSync(file);
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, text, { flag: 'wx', mode: statSync(path).mode });
    renameSync(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw new BuildError(
      'OUTPUT_FAILED',
      `\`${file}\` cannot be changed: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}
