import { BuildError } from '../../util/build-error.ts';
import { commonOptions, hasColor } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { familiarName } from '../format.ts';
import { newCommand } from '../options.ts';
import { exitStatus, reportError } from '../report.ts';
import type { Verb } from '../verbs.ts';

interface RmiFlags extends CommonFlags {
  readonly force?: boolean;
}

/** `tsbuild rmi`: goes on after an image that cannot be removed; the status is that of the last error. */
export const rmi: Verb = {
  define: () =>
    newCommand('rmi', 'Removes names, and images that have none left.')
      .usage('[options] IMAGE...')
      .argument('<images...>')
      .option('-f, --force', 'remove all names of an image; an image that is not there is no error'),
  run: async (command, context) => {
    const flags = command.opts<RmiFlags>();
    const library = await context.library();
    let status = 0;
    for (const image of command.args) {
      try {
        const { untagged, deleted } = await library.removeImage({
          ...commonOptions(flags, context),
          image,
          ...(flags.force === true ? { force: true } : {}),
        });
        for (const name of untagged) context.stdout.write(`Untagged: ${familiarName(name)}\n`);
        if (deleted !== undefined) context.stdout.write(`Deleted: ${deleted}\n`);
      } catch (error) {
        if (!(error instanceof BuildError) || error.code === 'INTERRUPTED') throw error;
        if (flags.force === true && error.code === 'IMAGE_NOT_FOUND') continue;
        status = exitStatus(error);
        context.stderr.write(
          reportError(error, { color: hasColor(context.stderr, context.env), debug: flags.debug === true }),
        );
      }
    }
    return status;
  },
};
