import { Option } from 'commander';
import type { BuildRecord, ExplainedStep } from '../../index.ts';
import { BuildError } from '../../util/build-error.ts';
import { commonOptions, hasColor } from '../context.ts';
import type { CliContext, CommonFlags } from '../context.ts';
import { formatAgo, formatSeconds, formatTable } from '../format.ts';
import { suggestion } from '../nearest.ts';
import { newCommand } from '../options.ts';
import { jsonText, sanitizeKeepingColor, sanitizeLine, sanitize } from '../sanitize.ts';
import { stepTable } from '../step-table.ts';
import { styleFor } from '../style.ts';
import { parseChoice } from '../values.ts';
import type { Verb } from '../verbs.ts';

interface BuildsFlags extends CommonFlags {
  readonly quiet?: boolean;
  readonly all?: boolean;
  readonly format: 'table' | 'json';
}

type Action = (words: readonly string[], flags: BuildsFlags, context: CliContext) => Promise<void>;

/** `tsbuild builds`: past builds, their steps and their logs. */
export const builds: Verb = {
  define: () =>
    newCommand('builds', 'Lists past builds, shows their steps and logs, and removes them.')
      .usage('[options] [ls | inspect [ID] | logs [ID] [STEP] | rm ID... | rm --all]')
      .argument('[words...]')
      .option('-q, --quiet', 'ls: ids only')
      .option('-a, --all', 'rm: all but those that are running')
      .addOption(
        new Option('--format <format>', 'table or json')
          .default('table')
          .argParser((text) => parseChoice(text, '--format', ['table', 'json'] as const)),
      ),
  run: async (command, context) => {
    const flags = command.opts<BuildsFlags>();
    const [name = 'ls', ...words] = command.args;
    const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
    if (action === undefined) {
      throw new BuildError('USAGE', `\`tsbuild builds\` has no \`${name}\``, {
        hint: suggestion(name, Object.keys(actions)),
      });
    }
    const most = mostWords[name];
    if (most !== undefined && words.length > most) {
      throw new BuildError('USAGE', `too many arguments for \`tsbuild builds ${name}\``, {
        hint: 'see `tsbuild builds --help`',
      });
    }
    await action(words, flags, context);
    return 0;
  },
};

/** How many words may follow; rm takes any number. */
const mostWords: Readonly<Record<string, number>> = { ls: 0, inspect: 1, logs: 2 };

const actions: Readonly<Record<string, Action>> = { ls, inspect, logs, rm };

async function ls(_words: readonly string[], flags: BuildsFlags, context: CliContext): Promise<void> {
  const library = await context.library();
  const list = await library.listBuilds(commonOptions(flags, context));
  if (flags.quiet === true) return void context.stdout.write(list.map(({ id }) => `${id}\n`).join(''));
  if (flags.format === 'json') {
    for (const { steps, ...build } of list) {
      const counts = { cached: count(steps, 'cached'), run: count(steps, 'done') };
      context.stdout.write(`${jsonText({ ...build, steps: counts })}\n`);
    }
    return;
  }
  const head = ['BUILD', 'STARTED', 'TIME', 'STATUS', 'CACHED', 'RUN', 'WHAT'];
  const now = Date.now();
  const rows = list.map((build) => [
    build.id,
    formatAgo(new Date(build.started).toISOString(), now),
    durationOf(build),
    build.error === undefined ? build.status : `${build.status} ${sanitizeLine(build.error.code)}`,
    String(count(build.steps, 'cached')),
    String(count(build.steps, 'done')),
    sanitizeLine(build.names[0] ?? `${build.dockerfile} in ${build.context}`),
  ]);
  context.stdout.write(formatTable([head, ...rows]));
}

async function inspect([id]: readonly string[], flags: BuildsFlags, context: CliContext): Promise<void> {
  const library = await context.library();
  const common = commonOptions(flags, context);
  const build = await library.inspectBuild({ ...common, build: id });
  if (flags.format === 'json') return void context.stdout.write(`${jsonText(build, 2)}\n`);
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['build', build.id],
    ['started', new Date(build.started).toISOString()],
    ['time', durationOf(build)],
    ['status', build.error === undefined ? build.status : `${build.status}: ${build.error.code}`],
    ['error', build.error?.message],
    ['hint', build.error?.hint],
    ['dockerfile', build.dockerfile],
    ['context', build.context],
    ['target', build.target],
    ['platform', build.platform],
    ['names', build.names.length === 0 ? undefined : build.names.join(' ')],
    ['digest', build.digest],
    ['image id', build.imageId],
  ];
  for (const [name, value] of rows)
    if (value !== undefined) context.stdout.write(`${name.padEnd(10)}  ${sanitizeLine(value)}\n`);
  context.stdout.write('\n');
  const style = styleFor(hasColor(context.stdout, context.env));
  const { steps } = await library.explain({ ...common, build: build.id });
  context.stdout.write(stepTable(steps, style));
}

/** On a terminal without what would steer it; into a file or pipe as it was. */
async function logs([id, step]: readonly string[], flags: BuildsFlags, context: CliContext): Promise<void> {
  const library = await context.library();
  const found = await library.buildLogs({ ...commonOptions(flags, context), build: id, step });
  for (const log of found) {
    const { step: about } = log;
    if (step === undefined) context.stdout.write(`${about.number} ${sanitizeLine(about.name)}\n`);
    const clean = hasColor(context.stdout, context.env) ? sanitizeKeepingColor : sanitize;
    if (context.stdout.isTTY === true) await writeLines(log.read(), clean, context);
    else for await (const chunk of log.read()) await written(context, chunk);
  }
}

async function writeLines(
  chunks: AsyncIterable<Uint8Array>,
  clean: (text: string) => string,
  context: CliContext,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    // A line without an end is shown in pieces.
    if (rest.length > longestLine) {
      lines.push(rest);
      rest = '';
    }
    await written(context, lines.map((line) => `${clean(line)}\n`).join(''));
  }
  if (rest !== '') await written(context, `${clean(rest)}\n`);
}

const longestLine = 1 << 20;

async function rm(words: readonly string[], flags: BuildsFlags, context: CliContext): Promise<void> {
  if ((words.length === 0) === (flags.all !== true)) {
    throw new BuildError('USAGE', 'say which builds are to be removed: their ids, or --all');
  }
  const library = await context.library();
  const removed = await library.removeBuilds({
    ...commonOptions(flags, context),
    builds: flags.all === true ? undefined : words,
  });
  context.stdout.write(removed.map((id) => `${id}\n`).join(''));
}

/** Waits for a slow reader: a log may be large. */
async function written(context: CliContext, data: string | Uint8Array): Promise<void> {
  if (context.stdout.write(data)) return;
  await new Promise<void>((resolve) => context.stdout.once('drain', resolve).once('close', resolve));
}

function count(steps: BuildRecord['steps'], state: ExplainedStep['state']): number {
  return steps.filter((step) => step.state === state).length;
}

function durationOf({ started, ended }: BuildRecord): string {
  return ended === undefined ? '' : formatSeconds(ended - started);
}
