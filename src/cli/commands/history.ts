import { Option } from 'commander';
import type { HistoryLine } from '../../index.ts';
import { commonOptions } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { formatAgo, formatBytes, formatTable, shortId } from '../format.ts';
import { newCommand } from '../options.ts';
import { sanitizeLine } from '../sanitize.ts';
import type { Fields } from '../template.ts';
import { formatRecords, parseFormat } from '../template.ts';
import type { Verb } from '../verbs.ts';
import { truncate } from '../width.ts';

interface HistoryFlags extends CommonFlags {
  readonly quiet?: boolean;
  readonly trunc: boolean;
  readonly format: string;
}

/** `tsbuild history`: how an image was made, newest first. */
export const history: Verb = {
  define: () =>
    newCommand('history', 'Shows how an image was made, the newest step first.')
      .usage('[options] IMAGE')
      .argument('<image>')
      .option('-q, --quiet', 'digests of the layers only')
      .option('--no-trunc', 'show whole commands and digests')
      .addOption(
        new Option('--format <format>', 'table, json, or a template such as {{.CreatedBy}}')
          .default('table')
          .argParser(parseFormat),
      ),
  run: async (command, context) => {
    const flags = command.opts<HistoryFlags>();
    const library = await context.library();
    const lines = await library.imageHistory({
      ...commonOptions(flags, context),
      image: command.args[0] ?? '',
    });
    context.stdout.write(render(lines, flags));
    return 0;
  },
};

function render(lines: readonly HistoryLine[], flags: HistoryFlags): string {
  if (flags.quiet === true) {
    return lines
      .map(({ layer }) => `${layer === undefined ? '<none>' : flags.trunc ? shortId(layer) : layer}\n`)
      .join('');
  }
  if (flags.format !== 'table') return formatRecords(flags.format, lines.map(fieldsOf));
  const cell = (text: string): string =>
    flags.trunc ? truncate(sanitizeLine(text), 45) : sanitizeLine(text);
  const rows = lines.map((line) => [
    formatAgo(line.created, Date.now()),
    cell(line.createdBy),
    formatBytes(line.size),
    cell(line.comment ?? ''),
  ]);
  return formatTable([['CREATED', 'CREATED BY', 'SIZE', 'COMMENT'], ...rows]);
}

/** With the names of docker's templates. */
function fieldsOf(line: HistoryLine): Fields {
  return {
    ID: line.layer ?? '<none>',
    CreatedAt: line.created,
    CreatedSince: formatAgo(line.created, Date.now()),
    CreatedBy: line.createdBy,
    Size: formatBytes(line.size),
    Bytes: line.size,
    Comment: line.comment ?? '',
  };
}
