import { addAbortSignal } from 'node:stream';
import type { Readable } from 'node:stream';
import { openArchiveFile } from '../../util/archive-file.ts';
import { BuildError } from '../../util/build-error.ts';
import { commonOptions } from '../context.ts';
import type { CliContext, CommonFlags } from '../context.ts';
import { inWords } from '../../util/system-error.ts';
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
    const stream = open(flags.input, context);
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

function open(file: string | undefined, context: CliContext): Readable {
  if (file === undefined || file === '-') {
    if (!context.stdin.isTTY) return addAbortSignal(context.signal, context.stdin);
    throw new BuildError('USAGE', 'stdin is a terminal, and an archive is expected there', {
      hint: 'use -i FILE, or redirect stdin',
    });
  }
  try {
    return openArchiveFile(file, context.signal);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new BuildError('USAGE', `\`${file}\` ${unfit[code ?? ''] ?? `cannot be read: ${inWords(cause)}`}`, {
      hint: hints[code ?? ''],
      cause,
    });
  }
}

const unfit: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EISDIR: 'is a directory, and an archive is expected',
  EFTYPE: 'is no ordinary file, and an archive is expected',
};
const hints: Readonly<Record<string, string>> = {
  ENOENT: 'name an archive of `tsbuild save` or `docker save`, or leave -i out to read stdin',
  EISDIR: 'give the archive itself; an OCI layout is read with `tar -C LAYOUT -c . | tsbuild load`',
  EFTYPE: 'a pipe is read from stdin: leave -i out',
};
