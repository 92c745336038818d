import { Option } from 'commander';
import { BuildError } from '../../util/build-error.ts';
import { commonOptions } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { newCommand } from '../options.ts';
import { parseChoice } from '../values.ts';
import { keepHeapSmall } from '../small-heap.ts';
import type { Verb } from '../verbs.ts';

interface SaveFlags extends CommonFlags {
  readonly output?: string;
  readonly format: 'docker' | 'oci';
}

/** `tsbuild save`: an archive into a file or to stdout, never to a terminal. */
export const save: Verb = {
  define: () =>
    newCommand('save', 'Writes images into one archive.')
      .usage('[options] IMAGE...')
      .argument('<images...>')
      .option('-o, --output <file>', 'write to this file, not to stdout')
      .addOption(
        new Option('--format <format>', 'docker or oci')
          .default('docker')
          .argParser((text) => parseChoice(text, '--format', ['docker', 'oci'] as const)),
      ),
  run: async (command, context) => {
    keepHeapSmall();
    const { output, format, ...flags } = command.opts<SaveFlags>();
    const request = { ...commonOptions(flags, context), images: command.args, format };
    const toStdout = output === undefined || output === '-';
    if (toStdout && context.stdout.isTTY === true) {
      throw new BuildError('USAGE', 'an archive is not written to a terminal', {
        hint: 'use -o FILE, or redirect stdout',
      });
    }
    const library = await context.library();
    await library.saveImage(toStdout ? { ...request, stream: context.stdout } : { ...request, file: output });
    return 0;
  },
};
