import { notices } from '../notices.ts';
import { addAbortSignal } from 'node:stream';
import { BuildError } from '../../util/build-error.ts';
import { readAll } from '../../util/streams.ts';
import { commonOptions } from '../context.ts';
import type { CliContext, CommonFlags } from '../context.ts';
import { addReachOptions, newCommand } from '../options.ts';
import { prompt } from '../prompt.ts';
import type { Verb } from '../verbs.ts';

interface LoginFlags extends CommonFlags {
  readonly username?: string;
  readonly password?: string;
  readonly passwordStdin?: boolean;
  readonly authfile?: string;
}

/** `tsbuild login`: checks a name and password with the registry and keeps them where docker keeps its. */
export const login: Verb = {
  define: () =>
    addReachOptions(
      newCommand('login', 'Logs in to a registry (default: Docker Hub).')
        .usage('[options] [REGISTRY]')
        .argument('[registry]')
        .option('-u, --username <name>', 'the user')
        .option('-p, --password <password>', 'the password; visible to others, see --password-stdin')
        .option('--password-stdin', 'read the password from stdin')
        .option('--authfile <file>', 'keep them here, not in docker’s config.json'),
    ),
  run: async (command, context) => {
    const flags = command.opts<LoginFlags>();
    const credentials = await readCredentials(flags, context);
    const library = await context.library();
    const registry = command.args[0];
    const { registry: where, savedTo } = await library.login({
      ...commonOptions(flags, context),
      onEvent: notices(context),
      ...credentials,
      authFile: flags.authfile,
      ...(registry === undefined ? {} : { registry }),
    });
    context.stderr.write(`Login succeeded: ${where} (kept in ${savedTo})\n`);
    return 0;
  },
};

async function readCredentials(
  flags: LoginFlags,
  context: CliContext,
): Promise<{ readonly username: string; readonly password: string }> {
  const { username, password, passwordStdin } = flags;
  if (passwordStdin === true) {
    if (password !== undefined)
      throw new BuildError('USAGE', '`--password` and `--password-stdin` exclude each other');
    if (username === undefined) throw new BuildError('USAGE', '`--password-stdin` needs `--username`');
    const text = (await readAll(addAbortSignal(context.signal, context.stdin), 65_536))
      .toString('utf8')
      .replace(/\r?\n$/, '');
    return { username, password: notEmpty(text, 'password') };
  }
  if (password !== undefined) {
    context.stderr.write(
      'warning: a password on the command line can be seen by others; use --password-stdin\n',
    );
  } else if (!context.stdin.isTTY) {
    throw new BuildError('USAGE', 'there is no terminal to ask for the password', {
      hint: 'use --username and --password-stdin',
    });
  }
  const name = username ?? (await prompt('Username: ', context, { echo: true }));
  const secret = password ?? (await prompt('Password: ', context, { echo: false }));
  return { username: notEmpty(name, 'username'), password: notEmpty(secret, 'password') };
}

function notEmpty(text: string, what: string): string {
  if (text === '') throw new BuildError('USAGE', `the ${what} is empty`);
  return text;
}
