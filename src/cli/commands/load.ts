import { once } from 'node:events';
import { createReadStream, statSync } from 'node:fs';
import { addAbortSignal } from 'node:stream';
import type { Readable } from 'node:stream';
import { BuildError } from '../../util/build-error.ts';
import { commonOptions } from '../context.ts';
import type { CliContext, CommonFlags } from '../context.ts';
import { familiarName } from '../format.ts';
import { newCommand } from '../options.ts';
import { sanitizeLine } from '../sanitize.ts';
import { keepHeapSmall } from '../small-heap.ts';
import type { Verb } from '../verbs.ts';

interface LoadFlags extends CommonFlags {
  readonly input?: string;
  readonly quiet?: boolean;
}

/** `tsbuild load`: reads an archive of `docker save`, `tsbuild save` or an OCI layout. */
export const load: Verb = {
  define: () =>
    newCommand('load', 'Reads images from an archive into the store.')
      .option('-i, --input <file>', 'read this file, not stdin')
      .option('-q, --quiet', 'show nothing'),
  run: async (command, context) => {
    keepHeapSmall();
    const flags = command.opts<LoadFlags>();
    const stream = await open(flags.input, context);
    const library = await context.library();
    const loaded = await library.loadImage({ ...commonOptions(flags, context), stream });
    if (flags.quiet === true) return 0;
    for (const { name, imageId } of loaded) {
      context.stdout.write(
        name === undefined
          ? `Loaded image ID: ${imageId}\n`
          : `Loaded image: ${familiarName(sanitizeLine(name))}\n`,
      );
    }
    return 0;
  },
};

async function open(file: string | undefined, context: CliContext): Promise<Readable> {
  if (file === undefined || file === '-') {
    if (!context.stdin.isTTY) return addAbortSignal(context.signal, context.stdin);
    throw new BuildError('USAGE', 'stdin is a terminal, and an archive is expected there', {
      hint: 'use -i FILE, or redirect stdin',
    });
  }
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw new BuildError('USAGE', `\`${file}\` is a directory, and an archive is expected`, {
      hint: 'give the archive itself; an OCI layout is read with `tar -C LAYOUT -c . | tsbuild load`',
    });
  }
  const stream = createReadStream(file);
  try {
    await once(stream, 'open');
  } catch (cause) {
    throw new BuildError(
      'USAGE',
      `\`${file}\` cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  return stream;
}
