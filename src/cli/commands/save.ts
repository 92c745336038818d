import { once } from 'node:events';
import { createWriteStream, rmSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import { Option } from 'commander';
import { BuildError } from '../../util/build-error.ts';
import { commonOptions } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { newCommand } from '../options.ts';
import { parseChoice } from '../values.ts';
import type { Verb } from '../verbs.ts';

interface SaveFlags extends CommonFlags {
  readonly output?: string;
  readonly format: 'docker' | 'oci';
}

/** `tsbuild save`: an archive into a file or to stdout, never to a terminal. A file that failed is removed. */
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
    const { output, format, ...flags } = command.opts<SaveFlags>();
    const request = { ...commonOptions(flags, context), images: command.args, format };
    if (output === undefined || output === '-') {
      if (context.stdout.isTTY === true) {
        throw new BuildError('USAGE', 'an archive is not written to a terminal', {
          hint: 'use -o FILE, or redirect stdout',
        });
      }
      const library = await context.library();
      await library.saveImage({ ...request, stream: context.stdout });
      return 0;
    }
    const library = await context.library();
    const stream = createWriteStream(output);
    try {
      await once(stream, 'open');
    } catch (cause) {
      throw new BuildError(
        'OUTPUT_FAILED',
        `\`${output}\` cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      );
    }
    const written = finished(stream, { readable: false });
    written.catch(() => undefined);
    try {
      await library.saveImage({ ...request, stream });
      stream.end();
      await written;
    } catch (error) {
      stream.destroy();
      rmSync(output, { force: true });
      throw error;
    }
    return 0;
  },
};
