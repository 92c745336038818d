import { lstatSync, rmSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { BuildError } from '../../util/build-error.ts';
import type { BuildResult } from '../../index.ts';
import { addBuildFlags, oldFlagNotes } from '../build-flags.ts';
import type { BuildFlags } from '../build-flags.ts';
import { buildOptions, planOptions } from '../build-options.ts';
import { hasColor } from '../context.ts';
import type { CliContext } from '../context.ts';
import { contextWord } from '../context-word.ts';
import { drained } from '../drain.ts';
import { familiarName } from '../format.ts';
import { addProgressOptions, addRegistryOptions, newCommand } from '../options.ts';
import { chooseProgress, withProgress } from '../progress.ts';
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
    const words = contextWord(command.args, flags.load);
    flags = { ...flags, load: words.engine ?? flags.load };
    const asked = flags.check === true ? 'check' : flags.call;
    if (asked !== undefined && asked !== 'build') {
      const { call } = await import('../call.ts');
      return call(asked, planOptions(flags, words.context, context), context);
    }
    const options = buildOptions(flags, words.context, context);
    const mode = chooseProgress(flags, context);
    if (mode !== 'quiet' && mode !== 'none') tellNotes(command, context);
    // A file of an earlier build must not stand for this one when it fails.
    for (const file of [flags.iidfile, flags.metadataFile])
      if (file !== undefined) writing(file, () => removePlain(file));
    const library = await context.library();
    const result = await withProgress({ mode, debug: flags.debug === true }, context, (emit) =>
      library.build({ ...options, onEvent: emit, drained: () => drained(context.stderr) }),
    );
    writeResultFiles(flags, result);
    if (mode === 'quiet' && result.digest !== undefined) context.stdout.write(`${result.digest}\n`);
    if (mode === 'plain' || mode === 'tty')
      context.stderr.write(summary(result, hasColor(context.stderr, context.env)));
    return 0;
  },
};

function tellNotes(command: Command, context: CliContext): void {
  for (const note of oldFlagNotes(command.opts())) context.stderr.write(`note: ${note}\n`);
}

function writeResultFiles(flags: BuildFlags, result: BuildResult): void {
  const { iidfile, metadataFile } = flags;
  const { imageId } = result;
  if (iidfile !== undefined && imageId !== undefined) writing(iidfile, () => writeFileSync(iidfile, imageId));
  if (metadataFile !== undefined) {
    writing(metadataFile, () =>
      writeFileSync(metadataFile, `${JSON.stringify(result.metadata, undefined, 2)}\n`),
    );
  }
}

/** A device, a pipe or a link (/dev/stdout, /dev/null) keeps its place: it holds nothing of an earlier build, and is written through. */
function removePlain(file: string): void {
  if (lstatSync(file, { throwIfNoEntry: false })?.isFile() === true) rmSync(file, { force: true });
}

function writing(file: string, action: () => void): void {
  try {
    action();
  } catch (cause) {
    throw new BuildError(
      'OUTPUT_FAILED',
      `\`${file}\` cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}

function summary(result: BuildResult, color: boolean): string {
  const style = styleFor(color);
  const rows: [string, string][] = result.digest === undefined ? [] : [['digest', style.cyan(result.digest)]];
  for (const name of result.names) rows.push(['name', style.bold(familiarName(name))]);
  return rows.length === 0
    ? ''
    : `\n${rows.map(([label, value]) => ` ${label.padEnd(6)}  ${value}\n`).join('')}`;
}
