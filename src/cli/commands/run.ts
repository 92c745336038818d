import { Option } from 'commander';
import type { Emit, RunOptions } from '../../index.ts';
import { BuildError } from '../../util/build-error.ts';
import { commonOptions, hasColor, hasTerminal } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { drained } from '../drain.ts';
import { notices } from '../notices.ts';
import { addReadOptions, addSandboxFlags, listOption, newCommand } from '../options.ts';

import { reportError } from '../report.ts';
import { networkModes, parseChoice } from '../values.ts';
import type { Verb } from '../verbs.ts';

interface RunFlags extends CommonFlags {
  readonly interactive?: boolean;
  readonly tty?: boolean;
  readonly env?: readonly string[];
  readonly volume?: readonly string[];
  readonly workdir?: string;
  readonly user?: string;
  readonly entrypoint?: string;
  readonly network?: RunOptions['network'];
  readonly hostname?: string;
  readonly runtime?: string;
  readonly isolation?: RunOptions['isolation'];
  readonly detach?: boolean;
  readonly publish?: string;
  readonly name?: string;
}

/** `tsbuild run`: exits with the container's status. The container is always removed at its end. */
export const run: Verb = {
  passThrough: true,
  define: () =>
    addReadOptions(
      addSandboxFlags(
        newCommand('run', 'Runs a container from an image of the store; it is removed when it ends.')
          .usage('[options] IMAGE [COMMAND] [ARG...]')
          .argument('<image>')
          .argument('[args...]')
          .option('-i, --interactive', 'connect stdin')
          .option('-t, --tty', 'give it a terminal')
          .addOption(new Option('--rm', 'done anyway'))
          .addOption(
            listOption(
              '-e, --env <name[=value]>',
              'set a variable; without a value: from the environment (repeatable)',
            ),
          )
          .addOption(
            listOption(
              '-v, --volume <host:container[:ro]>',
              'mount a directory or file of this host (repeatable)',
            ),
          )
          .option('-w, --workdir <directory>', 'the working directory')
          .option('-u, --user <user[:group]>', 'the user')
          .option('--entrypoint <command>', "instead of the image's")
          .addOption(
            new Option('--network <mode>', 'default, isolated, none or host').argParser((text) =>
              parseChoice(text, '--network', networkModes),
            ),
          )
          .option('--hostname <name>', 'its name for itself')
          .addOption(new Option('-d, --detach').hideHelp())
          .addOption(new Option('-p, --publish <ports>').hideHelp())
          .addOption(new Option('--name <name>').hideHelp()),
      ),
    ),
  run: async (command, context) => {
    const flags = command.opts<RunFlags>();
    refuseForeign(flags);
    if (flags.tty === true && !hasTerminal(context)) {
      throw new BuildError('USAGE', '`--tty` needs a terminal on stdin and stdout', {
        hint: 'leave it out here; `-i` alone connects stdin',
      });
    }
    const [image = '', ...args] = command.args;
    const library = await context.library();
    let fetching = false;
    const notice = notices(context);
    const onEvent: Emit = (event) => {
      notice(event);
      if (event.type === 'transfer' && !fetching) context.stderr.write(`fetching ${image}\n`);
      fetching ||= event.type === 'transfer';
    };
    const running = library.run({
      ...commonOptions(flags, context, command.args[0]),
      onEvent,
      image,
      args,
      environment: flags.env,
      volumes: flags.volume,
      workdir: flags.workdir,
      user: flags.user,
      entrypoint: flags.entrypoint,
      network: flags.network,
      hostname: flags.hostname,
      interactive: flags.interactive,
      tty: flags.tty,
      runtime: flags.runtime,
      isolation: flags.isolation,
      // The container's own output: passed on as it is, as `docker run` does.
      onOutput: (stream, data) => {
        const output = stream === 'stdout' ? context.stdout : context.stderr;
        output.write(Buffer.from(data));
        return drained(output);
      },
    });
    try {
      return (await running).exitCode;
    } catch (error) {
      // As a shell says it: 127 for a command that is not there, 126 for one that cannot be executed.
      const status = error instanceof BuildError ? error.details['exitCode'] : undefined;
      if (typeof status !== 'number') throw error;
      const color = hasColor(context.stderr, context.env);
      context.stderr.write(reportError(error, { color, debug: flags.debug === true }));
      return status;
    }
  },
};

/** What `docker run` has for containers that stay. Throws USAGE. */
function refuseForeign({ detach, publish, name }: RunFlags): void {
  const given = Object.entries({ detach, publish, name }).find(([, value]) => value !== undefined)?.[0];
  if (given === undefined) return;
  throw new BuildError(
    'USAGE',
    `\`tsbuild run\` has no \`--${given}\`: it tries an image out in the foreground`,
    {
      hint: 'build with --load, and docker or podman can run the image as a service',
    },
  );
}
