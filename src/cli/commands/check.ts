import { chmodSync, chownSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { Option } from 'commander';
import type { BuildOptions, CheckResult } from '../../index.ts';
import { BuildError } from '../../util/build-error.ts';
import { inWords } from '../../util/system-error.ts';
import type { PlanFlags } from '../build-flags.ts';
import { addPlanFlags } from '../build-flags.ts';
import { planOptions } from '../build-options.ts';
import type { CheckFormat } from '../check-report.ts';
import { checkFormats, checkJson, checkSarif, checkText } from '../check-report.ts';
import { contextWord } from '../context-word.ts';
import type { CliContext } from '../context.ts';
import { hasColor } from '../context.ts';
import { newCommand } from '../options.ts';
import { parseChoice } from '../values.ts';
import type { Verb } from '../verbs.ts';

interface CheckFlags extends PlanFlags {
  readonly format: CheckFormat;
  readonly fix?: boolean;
  readonly dryRun?: boolean;
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
        .option('--dry-run', 'with --fix: only tell what would be changed')
        .addOption(
          new Option('--format <format>', 'text, json or sarif')
            .default('text')
            .argParser((text) => parseChoice(text, '--format', checkFormats)),
        ),
    ),
  run: async (command, context) => {
    const flags = command.opts<CheckFlags>();
    if (flags.dryRun === true && flags.fix !== true)
      throw new BuildError('USAGE', '`--dry-run` goes with --fix', {
        hint: 'without --fix nothing is changed',
      });
    const options = planOptions(flags, contextWord(command.args, { verb: 'check' }).context, context);
    return flags.fix === true ? runFix(options, flags, context) : runCheck(options, flags.format, context);
  },
};

/** Checks and writes the result to stdout. Returns the exit status. */
export async function runCheck(
  options: BuildOptions,
  format: CheckFormat,
  context: CliContext,
): Promise<number> {
  const library = await context.library();
  const result = await library.check(options);
  context.stdout.write(await reportOf(result, format, context));
  return statusOf(result);
}

/** Checks, and changes the Dockerfile. One that is no file of this machine has no place to go back to: its new text goes to stdout. */
async function runFix(options: BuildOptions, flags: CheckFlags, context: CliContext): Promise<number> {
  const library = await context.library();
  const result = await library.check({ ...options, fix: true });
  const { source, fixed } = result;
  const isDry = flags.dryRun === true;
  // Of a file that is not changed places are those of its text as it is.
  const shown = isDry && fixed !== undefined ? { ...result, ...fixed.before } : result;
  const report =
    (await reportOf(shown, flags.format, context, isDry)) + (flags.format === 'text' ? unfixed(result) : '');
  if (isDry) context.stdout.write(report);
  else if (source.file === undefined) {
    context.stdout.write(source.text);
    context.stderr.write(report);
  } else {
    if (fixed !== undefined) replaceFile(source.file, fixed.before.source.text, source.text);
    context.stdout.write(report);
  }
  return isDry && fixed !== undefined ? 1 : statusOf(result);
}

/** Why `--fix` left the file alone, for people. */
function unfixed({ errors, fixed }: CheckResult): string {
  return errors.length > 0 && fixed === undefined ? 'Nothing was fixed: correct the errors first.\n' : '';
}

function statusOf({ findings, errors }: CheckResult): number {
  return findings.length === 0 && errors.length === 0 ? 0 : 1;
}

async function reportOf(
  result: CheckResult,
  format: CheckFormat,
  context: CliContext,
  isDry = false,
): Promise<string> {
  if (format === 'text') return checkText(result, { color: hasColor(context.stdout, context.env), isDry });
  const library = await context.library();
  const rules = await library.listChecks();
  if (format === 'json') return checkJson(result, rules);
  const { file, name } = result.source;
  const uri = encodeURI(file === undefined ? name : relative(process.cwd(), file));
  return checkSarif(result, { version: library.version, rules, uri });
}

/**
 * The new text in place of the old one, whole or not at all; owner and mode stay. A file that is not what was checked stays as it is: one
 * that was changed meanwhile, or one of other bytes than UTF-8, which would be lost.
 */
function replaceFile(file: string, before: string, text: string): void {
  const temporary = `${file}.${process.pid}.tmp`;
  const fail = (why: string, cause?: unknown): BuildError =>
    new BuildError('OUTPUT_FAILED', `\`${file}\` cannot be changed: ${why}`, { cause });
  try {
    const { mode, uid, gid } = statSync(file);
    if (!readFileSync(file).equals(Buffer.from(before)))
      throw fail('it is not the UTF-8 text that was checked');
    writeFileSync(temporary, text, { flag: 'wx', mode: 0o600 });
    if (!canOwn(temporary, uid, gid)) {
      // Somebody else's file that we may write to stays theirs.
      rmSync(temporary);
      writeFileSync(file, text);
      return;
    }
    chmodSync(temporary, mode);
    renameSync(temporary, file);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw cause instanceof BuildError ? cause : fail(inWords(cause), cause);
  }
}

function canOwn(file: string, uid: number, gid: number): boolean {
  const made = statSync(file);
  if (made.uid === uid && made.gid === gid) return true;
  try {
    chownSync(file, uid, gid);
    return true;
  } catch {
    return false;
  }
}
