import type { Command } from 'commander';
import { BuildError } from '../../util/build-error.ts';
import { commonOptions } from '../context.ts';
import type { CliContext } from '../context.ts';
import { splitPair } from '../csv.ts';
import { suggestion } from '../nearest.ts';
import { notices } from '../notices.ts';
import { addProgressOptions, addRegistryOptions, listOption, newCommand } from '../options.ts';
import type { ProgressFlags } from '../options.ts';
import { chooseProgress, withProgress } from '../progress.ts';
import { parseIndexAnnotations } from '../values.ts';
import type { Verb } from '../verbs.ts';
import { jsonText } from '../sanitize.ts';

interface ManifestFlags extends ProgressFlags {
  readonly raw?: boolean;
  readonly platform?: readonly string[];
  readonly tag?: readonly string[];
  readonly append?: boolean;
  readonly annotation?: readonly string[];
  readonly dryRun?: boolean;
}

const actions = ['inspect', 'create', 'rm'];

/** `tsbuild manifest inspect` shows what a name stands for; `create` makes an index of images and pushes it; `rm` takes names away. */
export const manifest: Verb = {
  define: () =>
    addRegistryOptions(
      addProgressOptions(
        newCommand(
          'manifest',
          '`inspect IMAGE` shows a manifest or index; `create -t NAME IMAGE...` makes an index of images and pushes it; `rm NAME...` deletes tags, or by digest images with all their tags, in their registry.',
        )
          .usage(
            'inspect [options] IMAGE\n       tsbuild manifest create [options] -t NAME IMAGE...\n       tsbuild manifest rm [options] NAME...',
          )
          .argument('<action>')
          .argument('[images...]')
          .option('--raw', 'inspect: the bytes as they are kept')
          .addOption(
            listOption(
              '--platform <os/arch>',
              'inspect: the manifest for this platform; create: IMAGE=os/arch says what an image is for (repeatable)',
            ),
          )
          .addOption(listOption('-t, --tag <name>', 'create: a name of the index (repeatable)'))
          .option('--append', 'create: keep what the name has already')
          .addOption(
            listOption(
              '--annotation <[type:]name=value>',
              'create: annotate the index, or what it says of its images (manifest-descriptor[os/arch]:) (repeatable)',
            ),
          )
          .option('--dry-run', 'create: only show the index'),
      ),
    ),
  run: async (command, context) => {
    const [action = '', ...images] = command.args;
    if (images.length === 0 && actions.includes(action))
      throw new BuildError('USAGE', `\`tsbuild manifest ${action}\` needs the name of an image`, {
        hint: 'see `tsbuild manifest --help`',
      });
    if (action === 'inspect') return inspect(command, context);
    if (action === 'create') return create(command, context);
    if (action === 'rm') return remove(command, context);
    throw new BuildError('USAGE', `\`${action}\` is nothing that \`tsbuild manifest\` does`, {
      hint: suggestion(action, actions),
    });
  },
};

async function inspect(command: Command, context: CliContext): Promise<number> {
  const flags = command.opts<ManifestFlags>();
  const [, image = '', ...others] = command.args;
  if (others.length > 0 || (flags.platform?.length ?? 0) > 1)
    throw new BuildError('USAGE', '`manifest inspect` takes one image and one platform');
  const library = await context.library();
  const platform = flags.platform?.[0];
  const found = await library.inspectManifest({
    ...commonOptions(flags, context, image),
    onEvent: notices(context),
    image,
    platform,
  });
  if (flags.raw === true) context.stdout.write(found.bytes);
  else context.stdout.write(`${jsonText(found.document, 2)}\n`);
  return 0;
}

async function create(command: Command, context: CliContext): Promise<number> {
  const flags = command.opts<ManifestFlags>();
  const [, ...sources] = command.args;
  const names = flags.tag ?? [];
  if (names.length === 0 && flags.dryRun !== true)
    throw new BuildError('USAGE', 'the index has no name', { hint: 'add -t REGISTRY/NAME:TAG' });
  const annotations = parseIndexAnnotations(flags.annotation ?? []);
  const platforms = Object.fromEntries((flags.platform ?? []).map((text) => imagePlatform(text, sources)));
  const mode = chooseProgress(flags, context);
  const library = await context.library();
  const made = await withProgress({ mode, debug: flags.debug === true }, context, (emit) =>
    library.createIndex({
      ...commonOptions(flags, context, names[0]),
      onEvent: emit,
      ...{ sources, names, append: flags.append, dryRun: flags.dryRun },
      ...annotations,
      platforms,
    }),
  );
  context.stdout.write(
    flags.dryRun === true ? `${jsonText(made.document, 2)}\n` : `${made.descriptor.digest}\n`,
  );
  return 0;
}

async function remove(command: Command, context: CliContext): Promise<number> {
  const flags = command.opts<ManifestFlags>();
  const [, ...images] = command.args;
  const library = await context.library();
  for (const image of images) {
    await library.deleteManifest({
      ...commonOptions(flags, context, image),
      onEvent: notices(context),
      image,
    });
    context.stdout.write(`${image}\n`);
  }
  return 0;
}

function imagePlatform(text: string, sources: readonly string[]): readonly [string, string] {
  const [image, platform] = splitPair(text);
  if (platform === undefined || !sources.includes(image)) {
    throw new BuildError('USAGE', `\`--platform ${text}\` is about none of the images`, {
      hint: 'write --platform IMAGE=linux/arm64',
    });
  }
  return [image, platform];
}
