import { BuildError } from '../../util/build-error.ts';
import { commonOptions } from '../context.ts';
import { addProgressOptions, addReadOptions, listOption, newCommand } from '../options.ts';
import type { ProgressFlags } from '../options.ts';
import { chooseProgress, withProgress } from '../progress.ts';
import { parseLabels } from '../values.ts';
import type { Verb } from '../verbs.ts';

interface AttachFlags extends ProgressFlags {
  readonly artifactType?: string;
  readonly annotation?: readonly string[];
}

/** `tsbuild attach`: the digest of the artifact on stdout. */
export const attach: Verb = {
  define: () =>
    addReadOptions(
      addProgressOptions(
        newCommand('attach', 'Attaches files, or annotations alone, to an image in its registry.')
          .usage('[options] IMAGE [FILE[:MEDIATYPE]...]')
          .argument('<image>')
          .argument('[files...]')
          .option('--artifact-type <type>', 'what it is, such as application/spdx+json')
          .addOption(
            listOption('--annotation <name=value>', 'set an annotation of the artifact (repeatable)'),
          ),
      ),
    ),
  run: async (command, context) => {
    const flags = command.opts<AttachFlags>();
    const [image = '', ...files] = command.args;
    const { artifactType } = flags;
    if (artifactType === undefined)
      throw new BuildError('USAGE', '`attach` needs --artifact-type', {
        hint: 'such as application/spdx+json',
      });
    const mode = chooseProgress(flags, context);
    const library = await context.library();
    const made = await withProgress({ mode, debug: flags.debug === true }, context, (emit) =>
      library.attachArtifact({
        ...commonOptions(flags, context, image),
        onEvent: emit,
        ...{ image, artifactType },
        files: files.map(parseFile),
        annotations: parseLabels(flags.annotation ?? []),
      }),
    );
    context.stdout.write(`${made.digest}\n`);
    return 0;
  },
};

function parseFile(text: string): { readonly path: string; readonly mediaType?: string } {
  const [, path, mediaType] = /^(.+):([\w.+-]+\/[\w.+-]+)$/s.exec(text) ?? [];
  return path === undefined || mediaType === undefined ? { path: text } : { path, mediaType };
}
