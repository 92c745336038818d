import type { ImageDetails } from '../../index.ts';
import { commonOptions } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { familiarName, splitName } from '../format.ts';
import { newCommand } from '../options.ts';
import type { Fields } from '../template.ts';
import { formatRecords } from '../template.ts';
import type { Verb } from '../verbs.ts';
import { jsonText } from '../sanitize.ts';

interface InspectFlags extends CommonFlags {
  readonly format?: string;
}

/** `tsbuild inspect`: a JSON array with the keys of `docker inspect`, and the descriptor. */
export const inspect: Verb = {
  define: () =>
    newCommand('inspect', 'Shows all about images of the store, as JSON.')
      .usage('[options] IMAGE...')
      .argument('<images...>')
      .option('-f, --format <template>', 'a line for each, such as {{.Id}} or {{json .Config}}; or json'),
  run: async (command, context) => {
    const library = await context.library();
    const { format, ...flags } = command.opts<InspectFlags>();
    const common = commonOptions(flags, context);
    const found: Fields[] = [];
    for (const image of command.args) found.push(asDocker(await library.inspectImage({ ...common, image })));
    context.stdout.write(format === undefined ? `${jsonText(found, 4)}\n` : formatRecords(format, found));
    return 0;
  },
};

function asDocker(image: ImageDetails): Fields {
  const names = image.names.map(familiarName);
  const repositories = new Set(names.map((name) => splitName(name).repository));
  const { config } = image;
  return {
    Id: image.imageId,
    RepoTags: names.filter((name) => !name.includes('@')),
    RepoDigests: [...repositories].map((repository) => `${repository}@${image.digest}`),
    Created: config.created,
    Author: config.author,
    Architecture: config.architecture,
    Variant: config.variant,
    Os: config.os,
    OsVersion: config['os.version'],
    Size: image.size,
    Config: config.config ?? {},
    RootFS: { Type: config.rootfs.type, Layers: config.rootfs.diff_ids },
    Descriptor: image.descriptor,
  };
}
