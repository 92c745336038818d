import { commonOptions } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { notices } from '../notices.ts';
import { addReadOptions, newCommand } from '../options.ts';
import type { Verb } from '../verbs.ts';

/** `tsbuild ls`: a line for each tag. */
export const ls: Verb = {
  define: () =>
    addReadOptions(
      newCommand('ls', 'Lists the tags of a repository in its registry.')
        .usage('[options] REPOSITORY')
        .argument('<repository>'),
    ),
  run: async (command, context) => {
    const [repository = ''] = command.args;
    const library = await context.library();
    const common = commonOptions(command.opts<CommonFlags>(), context, repository);
    const tags = await library.listTags({ ...common, onEvent: notices(context), repository });
    context.stdout.write(tags.map((tag) => `${tag}\n`).join(''));
    return 0;
  },
};
