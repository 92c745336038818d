import { commonOptions } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { notices } from '../notices.ts';
import { addReadOptions, newCommand } from '../options.ts';
import { jsonText, sanitizeLine } from '../sanitize.ts';
import type { Verb } from '../verbs.ts';

interface ReferrersFlags extends CommonFlags {
  readonly artifactType?: string;
  readonly json?: boolean;
}

/** `tsbuild referrers`: digest and artifact type, a line for each. */
export const referrers: Verb = {
  define: () =>
    addReadOptions(
      newCommand(
        'referrers',
        'Lists what is attached to an image in its registry: signatures, SBOMs and their like.',
      )
        .usage('[options] IMAGE')
        .argument('<image>')
        .option('--artifact-type <type>', 'those of this type alone')
        .option('--json', 'their descriptors as JSON'),
    ),
  run: async (command, context) => {
    const { artifactType, json, ...flags } = command.opts<ReferrersFlags>();
    const [image = ''] = command.args;
    const library = await context.library();
    const found = await library.listReferrers({
      ...commonOptions(flags, context, image),
      onEvent: notices(context),
      image,
      artifactType,
    });
    if (json === true) context.stdout.write(`${jsonText(found, 2)}\n`);
    else {
      for (const item of found.referrers)
        context.stdout.write(`${item.digest}  ${sanitizeLine(item.artifactType ?? item.mediaType)}\n`);
    }
    return 0;
  },
};
