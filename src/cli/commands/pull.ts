import { commonOptions } from '../context.ts';
import { addProgressOptions, addReadOptions, newCommand } from '../options.ts';
import type { ProgressFlags } from '../options.ts';
import { chooseProgress, withProgress } from '../progress.ts';
import { keepHeapSmall } from '../small-heap.ts';
import type { Verb } from '../verbs.ts';

interface PullFlags extends ProgressFlags {
  readonly platform?: string;
}

/** `tsbuild pull`: the digest of the manifest on stdout. */
export const pull: Verb = {
  define: () =>
    addReadOptions(
      addProgressOptions(
        newCommand('pull', 'Fetches an image from its registry into the store.')
          .usage('[options] IMAGE')
          .argument('<image>')
          .option(
            '--platform <os/arch>',
            'the variant to fetch (default: DOCKER_DEFAULT_PLATFORM, else this host)',
          ),
      ),
    ),
  run: async (command, context) => {
    keepHeapSmall();
    const flags = command.opts<PullFlags>();
    const mode = chooseProgress(flags, context);
    const library = await context.library();
    const fromEnv = context.env['DOCKER_DEFAULT_PLATFORM'];
    const platform = flags.platform ?? (fromEnv === '' ? undefined : fromEnv);
    const image = await withProgress({ mode, debug: flags.debug === true }, context, (emit) =>
      library.pullImage({
        ...commonOptions(flags, context, command.args[0]),
        onEvent: emit,
        image: command.args[0] ?? '',
        ...(platform === undefined ? {} : { platform }),
      }),
    );
    context.stdout.write(`${image.digest}\n`);
    return 0;
  },
};
