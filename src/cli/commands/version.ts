import { newCommand } from '../options.ts';
import type { Verb } from '../verbs.ts';

/** `tsbuild version`. */
export const version: Verb = {
  define: () => newCommand('version', 'Shows the version of tsbuild, and what it runs on.'),
  run: async (_command, context) => {
    const library = await context.library();
    context.stdout.write(
      `tsbuild ${library.version} (node ${process.versions.node}, ${process.platform}/${process.arch})\n`,
    );
    return 0;
  },
};
