import type { Command } from 'commander';
import type { BuildResult } from '../../index.ts';
import type { OnFailure } from '../on-fail.ts';
import { BuildError } from '../../util/build-error.ts';
import { addBuildFlags, oldFlagNotes } from '../build-flags.ts';
import type { BuildFlags } from '../build-flags.ts';
import { buildOptions, planOptions } from '../build-options.ts';
import { hasColor, hasTerminal } from '../context.ts';
import type { CliContext } from '../context.ts';
import { contextWord } from '../context-word.ts';
import { drained } from '../drain.ts';
import { familiarName } from '../format.ts';
import { addProgressOptions, addRegistryOptions, newCommand } from '../options.ts';
import { chooseProgress, withProgress } from '../progress.ts';
import { removeResultFiles, writeResultFiles } from '../result-files.ts';
import { styleFor } from '../style.ts';
import type { Verb } from '../verbs.ts';

/** `tsbuild [build]`: the image's digest on stdout with -q, nothing else there but what -o sends. */
export const build: Verb = {
  define: () => {
    const command = newCommand(
      'build',
      'Builds an image from a Dockerfile into the local store, a file or a registry.',
    )
      .usage('[options] PATH | URL | -')
      .argument('[words...]');
    return addRegistryOptions(addProgressOptions(addBuildFlags(command)));
  },
  run: async (command, context) => {
    let flags = command.opts<BuildFlags>();
    const words = contextWord(command.args, { load: flags.load });
    flags = { ...flags, load: words.engine ?? flags.load };
    const asked = flags.check === true ? 'check' : flags.call;
    if (asked !== undefined && asked !== 'build') {
      const { call } = await import('../call.ts');
      return call(asked, planOptions(flags, words.context, context), context);
    }
    const options = buildOptions(flags, words.context, context);
    const mode = chooseProgress(flags, context);
    if (mode !== 'quiet' && mode !== 'none') tellNotes(command, context);
    if (flags.dryRun === true) {
      const { tellDryRun } = await import('./explain.ts');
      return tellDryRun(options, { flags, context });
    }
    const onFailedStep = flags.onFail === 'shell' ? await shellOnFailure(context) : undefined;
    removeResultFiles(flags);
    const library = await context.library();
    const settings = { mode, debug: flags.debug === true, logfile: flags.logfile };
    const result = await withProgress(settings, context, (emit, end) =>
      library.build({
        ...options,
        onEvent: emit,
        drained: () => drained(context.stderr),
        onFailedStep: onFailedStep?.(end),
      }),
    ).catch((error: unknown) => {
      const isShown = onFailedStep === undefined && (mode === 'plain' || mode === 'tty');
      throw isShown ? withShellHint(error, context) : error;
    });
    writeResultFiles(flags, result);
    if (mode === 'quiet' && result.digest !== undefined) context.stdout.write(`${result.digest}\n`);
    if (mode === 'plain' || mode === 'tty')
      context.stderr.write(summary(result, hasColor(context.stderr, context.env)));
    return 0;
  },
};

/** Where a shell could be opened, that it can be. */
function withShellHint(error: unknown, context: CliContext): unknown {
  const isStep = error instanceof BuildError && error.code === 'STEP_FAILED';
  return isStep && hasTerminal(context) ? error.hinted('`--on-fail=shell` opens a shell there') : error;
}

// Loaded for those who ask.
async function shellOnFailure(context: CliContext): Promise<OnFailure> {
  return (await import('../on-fail.ts')).shellOnFailure(context);
}

function tellNotes(command: Command, context: CliContext): void {
  for (const note of oldFlagNotes(command.opts())) context.stderr.write(`note: ${note}\n`);
}

function summary(result: BuildResult, color: boolean): string {
  const style = styleFor(color);
  const rows: [string, string][] = result.digest === undefined ? [] : [['digest', style.cyan(result.digest)]];
  for (const name of result.names) rows.push(['name', style.bold(familiarName(name))]);
  return rows.length === 0
    ? ''
    : `\n${rows.map(([label, value]) => ` ${label.padEnd(6)}  ${value}\n`).join('')}`;
}
