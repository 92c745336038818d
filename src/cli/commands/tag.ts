import { commonOptions } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { newCommand } from '../options.ts';
import type { Verb } from '../verbs.ts';

/** `tsbuild tag`: silent, as docker's. */
export const tag: Verb = {
  define: () =>
    newCommand('tag', 'Gives an image one more name.')
      .usage('[options] IMAGE NAME[:TAG]')
      .argument('<image>')
      .argument('<name>'),
  run: async (command, context) => {
    const [image = '', name = ''] = command.args;
    const library = await context.library();
    await library.tagImage({ ...commonOptions(command.opts<CommonFlags>(), context), image, name });
    return 0;
  },
};
