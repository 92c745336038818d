import { commonOptions } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { newCommand } from '../options.ts';
import type { Verb } from '../verbs.ts';

/** `tsbuild logout`: to be logged out already is no error. */
export const logout: Verb = {
  define: () =>
    newCommand('logout', 'Forgets the login of a registry (default: Docker Hub).')
      .usage('[options] [REGISTRY]')
      .argument('[registry]')
      .option('--authfile <file>', 'forget it here, not in docker’s config.json'),
  run: async (command, context) => {
    const flags = command.opts<CommonFlags & { readonly authfile?: string }>();
    const library = await context.library();
    const registry = command.args[0];
    const result = await library.logout({
      ...commonOptions(flags, context),
      authFile: flags.authfile,
      ...(registry === undefined ? {} : { registry }),
    });
    context.stderr.write(
      result.removed ? `Logged out of ${result.registry}\n` : `Not logged in to ${result.registry}\n`,
    );
    return 0;
  },
};
