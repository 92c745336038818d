import { commonOptions } from '../context.ts';
import { addProgressOptions, addRegistryOptions, listOption, newCommand } from '../options.ts';
import type { ProgressFlags } from '../options.ts';
import { chooseProgress, withProgress } from '../progress.ts';
import { keepHeapSmall } from '../small-heap.ts';
import type { Verb } from '../verbs.ts';

interface CopyFlags extends ProgressFlags {
  readonly platform?: readonly string[];
}

/** `tsbuild copy`: the digest of what was copied on stdout. */
export const copy: Verb = {
  define: () =>
    addRegistryOptions(
      addProgressOptions(
        newCommand(
          'copy',
          'Copies an image with all its platforms. SOURCE and DESTINATION are names in a registry, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME] or store:NAME.',
        )
          .usage('[options] SOURCE DESTINATION')
          .argument('<source>')
          .argument('<destination>')
          .addOption(listOption('--platform <os/arch>', 'copy this platform, not all (repeatable)')),
      ),
    ),
  run: async (command, context) => {
    keepHeapSmall();
    const flags = command.opts<CopyFlags>();
    const [source = '', destination = ''] = command.args;
    const mode = chooseProgress(flags, context);
    const library = await context.library();
    const platforms = flags.platform?.flatMap((text) => text.split(','));
    const copied = await withProgress({ mode, debug: flags.debug === true }, context, (emit) =>
      library.copyImage({
        ...commonOptions(flags, context, isRemote(destination) ? destination : source),
        onEvent: emit,
        ...{ source, destination, platforms },
      }),
    );
    context.stdout.write(`${copied.digest}\n`);
    return 0;
  },
};

function isRemote(location: string): boolean {
  return !/^(?:oci|oci-archive|docker-archive|store):/.test(location);
}
