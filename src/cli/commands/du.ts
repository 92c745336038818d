import { Option } from 'commander';
import type { DiskUsage } from '../../index.ts';
import { commonOptions } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { formatBytes, formatTable } from '../format.ts';
import { listOption, newCommand } from '../options.ts';
import { formatRecords } from '../template.ts';
import { usageDetails, usageFields, usageTable } from '../usage-format.ts';
import type { Verb } from '../verbs.ts';

interface DuFlags extends CommonFlags {
  readonly verbose?: boolean;
  readonly filter?: readonly string[];
  readonly format?: string;
}

/** `tsbuild du`: a table with totals, all fields, JSON lines, or a template. */
export const du: Verb = {
  define: () =>
    newCommand(
      'du',
      'Shows what takes the disk in the store. `*` after an id: steps change it; after a size: images share it.',
    )
      .option('--verbose', 'all that is known of each record')
      .addOption(
        listOption('--filter <filter>', 'only these, such as type=exec.cachemount or until=24h (repeatable)'),
      )
      .addOption(new Option('--format <format>', 'json, or a template such as {{.ID}} {{.Size}}')),
  run: async (command, context) => {
    const flags = command.opts<DuFlags>();
    const library = await context.library();
    const usage = await library.diskUsage({ ...commonOptions(flags, context), filters: flags.filter });
    context.stdout.write(render(usage, flags));
    return 0;
  },
};

function render(usage: DiskUsage, { verbose, format }: DuFlags): string {
  const now = Date.now();
  if (format !== undefined && format !== 'table')
    return formatRecords(
      format,
      usage.records.map((record) => usageFields(record, now)),
    );
  const records = (verbose === true ? usageDetails : usageTable)(usage.records, now);
  const totals = [
    ['Shared:', formatBytes(usage.shared)],
    ['Private:', formatBytes(usage.private)],
    ['Reclaimable:', formatBytes(usage.reclaimable)],
    ['Total:', formatBytes(usage.total)],
  ];
  return `${records}${verbose === true ? '' : '\n'}${formatTable(totals)}`;
}
