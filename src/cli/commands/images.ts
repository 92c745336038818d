import { Option } from 'commander';
import type { ImageSummary } from '../../index.ts';
import { commonOptions } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { familiarName, formatAgo, formatBytes, formatTable, shortId, splitName } from '../format.ts';
import { notices } from '../notices.ts';
import { newCommand } from '../options.ts';
import { sanitizeLine } from '../sanitize.ts';
import type { Fields } from '../template.ts';
import { formatRecords, parseFormat } from '../template.ts';
import { parseChoice } from '../values.ts';
import type { Verb } from '../verbs.ts';

interface ImagesFlags extends CommonFlags {
  readonly quiet?: boolean;
  readonly trunc: boolean;
  readonly digests?: boolean;
  /** Of `dangling=`. */
  readonly filter?: boolean;
  readonly format: string;
}

/** `tsbuild images`: a table, ids, or one JSON object a line. */
export const images: Verb = {
  define: () =>
    newCommand('images', 'Lists the images of the local store.')
      .argument('[name]', 'only this repository, or this name')
      .option('-q, --quiet', 'image ids only')
      .addOption(
        new Option('-f, --filter <dangling=true|false>', 'images without a name, or with one').argParser(
          (text) =>
            parseChoice(text, '--filter', ['dangling=true', 'dangling=false'] as const) === 'dangling=true',
        ),
      )
      .option('--digests', 'show the digest of the manifest')
      .option('--no-trunc', 'show whole ids')
      .addOption(
        new Option('--format <format>', 'table, json, or a template such as {{.Repository}}:{{.Tag}}')
          .default('table')
          .argParser(parseFormat),
      ),
  run: async (command, context) => {
    const flags = command.opts<ImagesFlags>();
    const library = await context.library();
    const [name] = command.args;
    const list = await library.listImages({
      ...commonOptions(flags, context),
      onEvent: notices(context),
    });
    const { filter: nameless } = flags;
    const wanted = list.filter(
      (image) =>
        (nameless === undefined || nameless === (image.name === undefined)) &&
        (name === undefined || isCalled(image, name)),
    );
    context.stdout.write(render(wanted, flags));
    return 0;
  },
};

/** Is `name` its repository, or all of its name, as people write it? */
function isCalled(image: ImageSummary, name: string): boolean {
  if (image.name === undefined) return false;
  const familiar = familiarName(image.name);
  return [familiar, splitName(familiar).repository].includes(familiarName(name));
}

function render(list: readonly ImageSummary[], flags: ImagesFlags): string {
  const id = (digest: string): string => (flags.trunc ? shortId(digest) : digest);
  if (flags.quiet === true)
    return [...new Set(list.map(({ imageId }) => id(imageId)))].map((text) => `${text}\n`).join('');
  if (flags.format !== 'table')
    return formatRecords(
      flags.format,
      list.map((image) => fieldsOf(image, flags.format === 'json' ? image.imageId : id(image.imageId))),
    );
  const head = [
    'REPOSITORY',
    'TAG',
    ...(flags.digests === true ? ['DIGEST'] : []),
    'IMAGE ID',
    'CREATED',
    'SIZE',
  ];
  const rows = list.map((image) => {
    const { repository, tag } = parts(image);
    const digest = flags.digests === true ? [image.digest] : [];
    return [
      repository,
      tag,
      ...digest,
      id(image.imageId),
      formatAgo(image.created, Date.now()),
      formatBytes(image.size),
    ];
  });
  return formatTable([head, ...rows]);
}

function parts(image: ImageSummary): { readonly repository: string; readonly tag: string } {
  if (image.name === undefined) return { repository: '<none>', tag: '<none>' };
  const { repository, tag = '<none>' } = splitName(familiarName(sanitizeLine(image.name)));
  return { repository, tag };
}

/** With the names of docker's templates. */
function fieldsOf(image: ImageSummary, id: string): Fields {
  const { repository, tag } = parts(image);
  return {
    Repository: repository,
    Tag: tag,
    Digest: image.digest,
    ID: id,
    CreatedAt: image.created,
    CreatedSince: formatAgo(image.created, Date.now()),
    Size: formatBytes(image.size),
    Bytes: image.size,
    Platform: image.platform,
  };
}
