import type { BuildOptions, Outline, Range, SourceText, TargetList } from '../index.ts';
import { BuildError } from '../util/build-error.ts';
import type { CliContext } from './context.ts';
import { formatTable } from './format.ts';
import { suggestion } from './nearest.ts';
import { jsonText, sanitizeLine } from './sanitize.ts';

type Library = Awaited<ReturnType<CliContext['library']>>;

interface Call {
  readonly summary: string;
  readonly version: string;
  /** The answer as data and as text. */
  readonly ask: (
    library: Library,
    options: BuildOptions,
  ) => Promise<{ readonly json: unknown; readonly text: string }>;
}

/** What can be asked of a Dockerfile instead of building it: `--call=NAME[,format=json|text]` (section 6.4). */
const calls: Readonly<Record<string, Call>> = {
  outline: {
    summary: 'the arguments, secrets and ssh agents that the target takes',
    version: '1.0.0',
    ask: async (library, options) => {
      const found = await library.outline(options);
      return { json: outlineJson(found), text: outlineText(found) };
    },
  },
  targets: {
    summary: 'the stages that can be built',
    version: '1.0.0',
    ask: async (library, options) => {
      const found = await library.listStages(options);
      return { json: targetsJson(found), text: targetsText(found) };
    },
  },
  'subrequests.describe': {
    summary: 'these calls',
    version: '1.0.0',
    ask: () => {
      const all = { check: { summary: 'what the build checks find', version: '1.0.0' }, ...calls };
      const rows = Object.entries(all).map(([name, { summary, version }]) => ({
        name,
        version,
        description: summary,
      }));
      const text = formatTable([
        ['NAME', 'VERSION', 'DESCRIPTION'],
        ...rows.map(({ name, version, description }) => [name, version, description]),
      ]);
      return Promise.resolve({ json: rows, text });
    },
  },
};

/** Answers one call on stdout. Returns the exit status. Error: USAGE. */
export async function call(word: string, options: BuildOptions, context: CliContext): Promise<number> {
  const { name, format } = readCall(word);
  if (name === 'check' || name === 'lint') {
    const { runCheck } = await import('./commands/check.ts');
    return runCheck(options, format, context);
  }
  const chosen = Object.hasOwn(calls, name) ? calls[name] : undefined;
  if (chosen === undefined) {
    throw new BuildError('USAGE', `\`--call\` cannot be \`${name}\``, {
      hint: suggestion(name, [...Object.keys(calls), 'check']),
    });
  }
  const { json, text } = await chosen.ask(await context.library(), options);
  context.stdout.write(format === 'json' ? `${jsonText(json, 2)}\n` : text);
  return 0;
}

function readCall(word: string): { readonly name: string; readonly format: 'json' | 'text' } {
  const [name = '', ...settings] = word.split(',');
  let format: 'json' | 'text' = 'text';
  for (const setting of settings) {
    const value = /^format=(json|text)$/.exec(setting)?.[1];
    if (value === undefined) {
      throw new BuildError('USAGE', `\`--call\` has no setting \`${setting}\``, {
        hint: 'write format=json or format=text',
      });
    }
    format = value === 'json' ? 'json' : 'text';
  }
  return { name: name.replace(/^frontend\./, ''), format };
}

const location = (range: Range | undefined): { readonly location?: unknown } =>
  range === undefined ? {} : { location: { sourceIndex: 0, ranges: [range] } };

const sources = ({ name, text }: SourceText): readonly unknown[] => [
  { filename: name, language: 'Dockerfile', data: Buffer.from(text).toString('base64') },
];

function outlineJson({ source, args, secrets, ssh, ...about }: Outline): unknown {
  return {
    ...about,
    sources: sources(source),
    args: args.map(({ range, ...arg }) => ({ ...arg, ...location(range) })),
    secrets: secrets.map(({ id, required, range }) => ({ name: id, required, ...location(range) })),
    ssh: ssh.map(({ id, required, range }) => ({ name: id, required, ...location(range) })),
  };
}

function outlineText({ name, description, args, secrets, ssh }: Outline): string {
  const parts = [
    [
      `TARGET: ${name ?? '(the last stage)'}\n`,
      ...(description === undefined ? [] : [`DESCRIPTION: ${sanitizeLine(description)}\n`]),
    ].join(''),
  ];
  if (args.length > 0) {
    parts.push(
      formatTable([
        ['BUILD ARG', 'VALUE', 'DESCRIPTION'],
        ...args.map((arg) => [arg.name, arg.value ?? '', arg.description ?? ''].map(sanitizeLine)),
      ]),
    );
  }
  for (const [title, inputs] of [
    ['SECRET', secrets],
    ['SSH', ssh],
  ] as const) {
    const rows = inputs.map(({ id, required }) => [sanitizeLine(id), required ? 'yes' : 'no']);
    if (rows.length > 0) parts.push(formatTable([[title, 'REQUIRED'], ...rows]));
  }
  return parts.join('\n');
}

function targetsJson({ source, targets }: TargetList): unknown {
  return {
    default: targets.find((target) => target.default)?.name ?? '',
    sources: sources(source),
    targets: targets.map(({ range, ...target }) => ({ ...target, ...location(range) })),
  };
}

function targetsText({ targets }: TargetList): string {
  return formatTable([
    ['TARGET', 'DESCRIPTION'],
    ...targets.map((target) => [
      `${sanitizeLine(target.name ?? '(no name)')}${target.default ? ' (default)' : ''}`,
      sanitizeLine(target.description ?? ''),
    ]),
  ]);
}
