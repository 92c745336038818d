import { Option } from 'commander';
import type { PruneOptions } from '../../index.ts';
import { BuildError } from '../../util/build-error.ts';
import { commonOptions } from '../context.ts';
import type { CliContext, CommonFlags } from '../context.ts';
import { formatBytes } from '../format.ts';
import { listOption, newCommand } from '../options.ts';
import { prompt } from '../prompt.ts';
import { usageDetails, usageTable } from '../usage-format.ts';
import { parseBytes } from '../values.ts';
import type { Verb } from '../verbs.ts';

interface PruneFlags extends CommonFlags {
  readonly all?: boolean;
  readonly filter?: readonly string[];
  readonly keepStorage?: number;
  readonly maxUsedSpace?: number;
  readonly minFreeSpace?: number;
  readonly reservedSpace?: number;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly verbose?: boolean;
}

/** `tsbuild prune`: shows what went and how much it was. Asks first on a terminal. */
export const prune: Verb = {
  define: () =>
    newCommand('prune', 'Removes from the store what nobody uses. Images always stay.')
      .option('-a, --all', 'also what images were made of: they are built anew then')
      .addOption(
        listOption('--filter <filter>', 'only these, such as until=24h or type=exec.cachemount (repeatable)'),
      )
      .addOption(
        size('--max-used-space <bytes>', 'remove the longest unused until the store takes this, such as 20g'),
      )
      .addOption(size('--keep-storage <bytes>', '').hideHelp())
      .addOption(size('--min-free-space <bytes>', 'remove the longest unused until this is free on the disk'))
      .addOption(size('--reserved-space <bytes>', 'leave the store at least this'))
      .option('--dry-run', 'only show what would go')
      .option('-f, --force', 'do not ask')
      .option('--verbose', 'all that is known of each record'),
  run: async (command, context) => {
    const flags = command.opts<PruneFlags>();
    if (flags.dryRun !== true && flags.force !== true && !(await confirmed(flags, context))) return 1;
    const library = await context.library();
    const options: PruneOptions = {
      ...commonOptions(flags, context),
      all: flags.all,
      filters: flags.filter,
      maxUsedSpace: flags.maxUsedSpace ?? flags.keepStorage,
      minFreeSpace: flags.minFreeSpace,
      reservedSpace: flags.reservedSpace,
      dryRun: flags.dryRun,
    };
    const { removed, freed } = await library.prune(options);
    const show = flags.verbose === true ? usageDetails : usageTable;
    if (removed.length > 0) context.stdout.write(`${show(removed, Date.now())}\n`);
    context.stdout.write(`${flags.dryRun === true ? 'To be freed' : 'Freed'}: ${formatBytes(freed)}\n`);
    return 0;
  },
};

function size(flags: string, description: string): Option {
  return new Option(flags, description).argParser(parseBytes);
}

/** Scripts say --force, so that nothing goes by accident. */
async function confirmed({ all }: PruneFlags, context: CliContext): Promise<boolean> {
  if (!context.stdin.isTTY)
    throw new BuildError('USAGE', 'there is no terminal to ask on whether the cache is to go', {
      hint: 'add --force, or --dry-run to see what would go',
    });
  const what =
    all === true
      ? 'This removes the whole build cache; only the images stay.'
      : 'This removes the build cache except for what the images were made of.';
  const answer = await prompt(`${what} Go on? [y/N] `, context, { echo: true });
  return /^y(?:es)?$/i.test(answer.trim());
}
