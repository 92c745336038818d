import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../../util/build-error.ts';
import type { ShellOptions } from '../../index.ts';
import { addPlanFlags, addSecretFlags } from '../build-flags.ts';
import type { BuildFlags } from '../build-flags.ts';
import { planOptions, secretOptions } from '../build-options.ts';
import { hasTerminal } from '../context.ts';
import type { CliContext } from '../context.ts';
import { drained } from '../drain.ts';
import { addProgressOptions, addReadOptions, addSandboxFlags, newCommand } from '../options.ts';
import { chooseProgress, withProgress } from '../progress.ts';
import type { Verb } from '../verbs.ts';

interface ShellFlags extends BuildFlags {
  readonly before?: boolean;
  readonly command?: string;
}

/** `tsbuild shell`: exits with the shell's status. What it writes is thrown away. */
export const shell: Verb = {
  define: () => {
    const command = newCommand(
      'shell',
      'Opens a shell at any line of a Dockerfile, or in an image. What is written there is thrown away.',
    )
      .usage('[options] [DOCKERFILE:LINE | STAGE | IMAGE] [PATH | URL]')
      .argument('[where]')
      .argument('[context]')
      .option('-c, --command <text>', 'run this in the shell instead of reading from stdin')
      .option('--before', 'as it is before the line, not after it');
    addSandboxFlags(command);
    return addReadOptions(addProgressOptions(addSecretFlags(addPlanFlags(command))));
  },
  run: async (command, context) => {
    const flags = command.opts<ShellFlags>();
    const [where, contextWord] = wordsOf(command.args);
    const library = await context.library();
    const options: ShellOptions = {
      ...planOptions(flags, contextWord, context),
      ...secretOptions(flags, context),
      ...(await placeOf(where, contextWord, { flags, context })),
      runtime: flags.runtime,
      isolation: flags.isolation,
      before: flags.before,
      command: flags.command,
      interactive: true,
      tty: hasTerminal(context),
    };
    const mode = chooseProgress(flags, context);
    const { exitCode } = await withProgress({ mode, debug: flags.debug === true }, context, (emit, end) =>
      library.shell({
        ...options,
        onEvent: emit,
        onReady: () => end({ ok: true }),
        drained: () => drained(context.stderr),
      }),
    );
    return exitCode;
  },
};

/** A directory alone is the context. */
function wordsOf([first = '', second]: readonly string[]): readonly [where: string, context: string] {
  const isContext =
    second === undefined && statSync(first, { throwIfNoEntry: false })?.isDirectory() === true;
  return isContext ? ['', first] : [first, second ?? '.'];
}

type Place = Pick<ShellOptions, 'line' | 'target' | 'image' | 'dockerfile'>;

/** What the first word means: `FILE:LINE` or `:LINE`, the name of a stage, else an image. */
async function placeOf(
  where: string,
  contextWord: string,
  { flags, context }: { readonly flags: ShellFlags; readonly context: CliContext },
): Promise<Place> {
  const [, name = '', digits] = /^(.*):(\d{1,9})$/s.exec(where) ?? [];
  const file = [name, join(contextWord, name)].find((path) => name !== '' && existsSync(path));
  if (digits !== undefined && (name === '' || file !== undefined))
    return { line: Number(digits), ...(file === undefined ? {} : { dockerfile: file }) };
  if (digits !== undefined && isDockerfileName(name))
    throw new BuildError(
      'DOCKERFILE_NOT_FOUND',
      `there is no \`${name}\` here and none in \`${contextWord}\``,
      {
        hint: `name its directory too: \`tsbuild shell ${where} DIRECTORY\``,
      },
    );
  if (flags.before === true)
    throw new BuildError('USAGE', '`--before` needs a line', {
      hint: 'such as `tsbuild shell Dockerfile:7 --before`',
    });
  if (where === '') return {};
  const { listStages } = await context.library();
  // Without a Dockerfile, or with one that cannot be read, it can only be an image.
  const stages = await listStages(planOptions(flags, contextWord, context)).catch(() => undefined);
  const isStage = stages?.targets.some((stage) => stage.name === where.toLowerCase()) === true;
  if (isStage) return { target: where };
  if (isDockerfileName(where) && existsSync(where)) {
    throw new BuildError('USAGE', `of \`${where}\` a line is needed`, {
      hint: `such as \`tsbuild shell ${where}:7\`; -f names the file of a stage`,
    });
  }
  return { image: where };
}

function isDockerfileName(path: string): boolean {
  return /(?:^|[/.])(?:docker|container)file[^/]*$/i.test(path);
}
