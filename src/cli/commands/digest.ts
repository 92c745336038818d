import { commonOptions } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { notices } from '../notices.ts';
import { addReadOptions, newCommand } from '../options.ts';
import type { Verb } from '../verbs.ts';

interface DigestFlags extends CommonFlags {
  readonly platform?: string;
}

/** `tsbuild digest`: of the index or manifest that a name stands for. */
export const digest: Verb = {
  define: () =>
    addReadOptions(
      newCommand(
        'digest',
        'Shows the digest of an image: a name in a registry, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE or store:NAME.',
      )
        .usage('[options] IMAGE')
        .argument('<image>')
        .option('--platform <os/arch>', 'of the manifest for this platform'),
    ),
  run: async (command, context) => {
    const { platform, ...flags } = command.opts<DigestFlags>();
    const [image = ''] = command.args;
    const library = await context.library();
    const found = await library.imageDigest({
      ...commonOptions(flags, context, image),
      onEvent: notices(context),
      image,
      platform,
    });
    context.stdout.write(`${found}\n`);
    return 0;
  },
};
