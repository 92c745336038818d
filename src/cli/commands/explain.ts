import { statSync } from 'node:fs';
import { Option } from 'commander';
import { addCacheFlags, addPlanFlags, addSecretFlags } from '../build-flags.ts';
import type { BuildFlags } from '../build-flags.ts';
import { cacheOptions, planOptions, secretOptions } from '../build-options.ts';
import type { BuildExplanation, BuildOptions } from '../../index.ts';
import { hasColor } from '../context.ts';
import type { CliContext } from '../context.ts';
import { formatAgo } from '../format.ts';
import { addProgressOptions, addReadOptions, newCommand } from '../options.ts';
import { chooseProgress, withProgress } from '../progress.ts';
import { jsonText, sanitizeLine } from '../sanitize.ts';
import { stepTable } from '../step-table.ts';
import { styleFor } from '../style.ts';
import { parseChoice } from '../values.ts';
import type { Verb } from '../verbs.ts';

interface ExplainFlags extends BuildFlags {
  readonly build?: string;
  readonly json?: boolean;
  readonly format?: 'text' | 'json';
}

/** `tsbuild explain`: the steps of the last build on stdout, or with --dry-run of one that has not run. */
export const explain: Verb = {
  define: () => {
    const command = newCommand(
      'explain',
      'Tells of each step whether it was cached, and where from, or why it was run: of the last build, or of one that has not run.',
    )
      .usage('[options] [STEP] [PATH | URL]')
      .argument('[words...]')
      .option('--dry-run', 'of a build with these options, which is not run')
      .option('--build <id>', 'of this build (see `tsbuild builds ls`)')
      .option('--json', 'as JSON: --format=json')
      .addOption(
        new Option('--format <format>', 'text or json').argParser((text) =>
          parseChoice(text, '--format', ['text', 'json'] as const),
        ),
      );
    return addReadOptions(addProgressOptions(addSecretFlags(addCacheFlags(addPlanFlags(command)))));
  },
  run: async (command, context) => {
    const flags = command.opts<ExplainFlags>();
    const { step, place } = wordsOf(command.args, flags);
    const options = {
      ...planOptions(flags, place ?? '.', context),
      ...cacheOptions(flags),
      ...secretOptions(flags, context),
    };
    if (flags.dryRun === true) return tellDryRun(options, { flags, context, step });
    const isNamed = place !== undefined || flags.file !== undefined;
    const { root, env, signal, context: where, dockerfile } = options;
    const library = await context.library();
    const explanation = await library.explain({
      ...{ root, env, signal, step, build: flags.build },
      ...(isNamed ? { context: where, dockerfile } : {}),
    });
    show(explanation, flags, context);
    return 0;
  },
};

/** What a build with these options would do, on stdout. */
export async function tellDryRun(
  options: BuildOptions,
  about: { readonly flags: ExplainFlags; readonly context: CliContext; readonly step?: string | undefined },
): Promise<number> {
  const { flags, context, step } = about;
  const library = await context.library();
  // What has to be read first is quick, mostly: it is shown only where it was asked for.
  const mode = flags.progress === undefined ? 'none' : chooseProgress(flags, context);
  const explanation = await withProgress({ mode, debug: flags.debug === true }, context, (emit) =>
    library.explain({ ...options, dryRun: true, step, onEvent: emit }),
  );
  show(explanation, flags, context);
  return 0;
}

function show(explanation: BuildExplanation, flags: ExplainFlags, context: CliContext): void {
  if (flags.json === true || flags.format === 'json') {
    context.stdout.write(`${jsonText(explanation)}\n`);
    return;
  }
  const style = styleFor(hasColor(context.stdout, context.env));
  const { build, steps } = explanation;
  if (build !== undefined) {
    const when = formatAgo(new Date(build.started).toISOString(), Date.now());
    const what = sanitizeLine(`${build.dockerfile} in ${build.context}`);
    context.stdout.write(style.dim(`build ${build.id}, ${when}: ${what}, ${build.status}`) + '\n');
  }
  context.stdout.write(stepTable(steps, style));
  const count = (verdict: string): number => steps.filter((step) => step.verdict === verdict).length;
  const run = build === undefined ? 'to run' : 'run';
  if (steps.length > 1)
    context.stdout.write(style.dim(`${count('cached')} cached, ${count('run')} ${run}`) + '\n');
}

/** A directory, a URL or `-` is the context; another word is the step. With --dry-run a word alone is the context. */
function wordsOf(
  words: readonly string[],
  flags: ExplainFlags,
): { readonly step: string | undefined; readonly place: string | undefined } {
  const [first, second] = words;
  if (first === undefined) return { step: undefined, place: undefined };
  if (second !== undefined) return { step: first, place: second };
  return flags.dryRun === true || looksLikeContext(first)
    ? { step: undefined, place: first }
    : { step: first, place: undefined };
}

function looksLikeContext(word: string): boolean {
  if (word === '-' || /^[a-z+]+:\/\/|^git@/i.test(word)) return true;
  return statSync(word, { throwIfNoEntry: false })?.isDirectory() === true;
}
