import { commonOptions } from '../context.ts';
import { addProgressOptions, addRegistryOptions, newCommand } from '../options.ts';
import type { ProgressFlags } from '../options.ts';
import { chooseProgress, withProgress } from '../progress.ts';
import { keepHeapSmall } from '../small-heap.ts';
import type { Verb } from '../verbs.ts';

/** `tsbuild push`: the digest of the manifest on stdout. */
export const push: Verb = {
  define: () =>
    addRegistryOptions(
      addProgressOptions(
        newCommand(
          'push',
          'Sends an image of the store to its registry, or under another name to another one.',
        )
          .usage('[options] IMAGE [NAME[:TAG]]')
          .argument('<image>')
          .argument('[name]'),
      ),
    ),
  run: async (command, context) => {
    keepHeapSmall();
    const flags = command.opts<ProgressFlags>();
    const [image = '', to] = command.args;
    const mode = chooseProgress(flags, context);
    const library = await context.library();
    const descriptor = await withProgress({ mode, debug: flags.debug === true }, context, (emit) =>
      library.pushImage({
        ...commonOptions(flags, context, to ?? image),
        onEvent: emit,
        image,
        ...(to === undefined ? {} : { to }),
      }),
    );
    context.stdout.write(`${descriptor.digest}\n`);
    return 0;
  },
};
