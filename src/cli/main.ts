import { existsSync } from 'node:fs';
import type { Command, CommanderError } from 'commander';
import { BuildError } from '../util/build-error.ts';
import { machineError } from '../util/system-error.ts';
import { normalizeArgv } from './argv.ts';
import { hasColor } from './context.ts';
import type { CliContext } from './context.ts';
import { dockerWordHint } from './docker-words.ts';
import { suggestion } from './nearest.ts';
import { exitStatus, reportError } from './report.ts';
import type { Verb } from './verbs.ts';
import { overview, verbs } from './verbs.ts';

/** Runs one command line, without the program's name. Never throws: errors are reported on stderr. Returns the exit status. */
export async function main(argv: readonly string[], context: CliContext): Promise<number> {
  let debug = false;
  try {
    const chosen = chooseVerb(argv);
    if (chosen === undefined) {
      context.stdout.write(overview());
      return 0;
    }
    const verb = await loadVerb(chosen.name);
    const command = verb.define();
    const help = parse(verb, command, chosen.rest);
    if (help !== undefined) {
      context.stdout.write(help);
      return 0;
    }
    debug = command.opts<{ debug?: boolean }>().debug === true;
    return await verb.run(command, context);
  } catch (thrown) {
    const error = asBuildError(thrown, context.signal);
    // Whoever read stdout has had enough, as `head` has: nothing to tell.
    if (isClosedPipe(error, context)) return 1;
    context.stderr.write(reportError(error, { color: hasColor(context.stderr, context.env), debug }));
    return exitStatus(error);
  }
}

interface Chosen {
  readonly name: string;
  readonly rest: readonly string[];
}

/** The verb and its words; undefined asks for the overview. Options that all verbs have may stand before the verb. */
function chooseVerb(argv: readonly string[]): Chosen | undefined {
  let index = 0;
  for (; index < argv.length; index += 1) {
    const word = argv[index] ?? '';
    if (word === '--root') index += 1;
    else if (word !== '-D' && word !== '--debug' && !word.startsWith('--root=')) break;
  }
  const word = argv[index];
  const before = argv.slice(0, index);
  const after = argv.slice(index + 1);
  if (word === undefined) return undefined;
  if (word === '-h' || word === '--help') return undefined;
  if (word === '-v' || word === '-V' || word === '--version') return { name: 'version', rest: [] };
  if (word === 'help') return after[0] === undefined ? undefined : { name: after[0], rest: ['--help'] };
  if (Object.hasOwn(verbs, word)) return { name: word, rest: [...before, ...after] };
  if (word.startsWith('-') || looksLikeContext(word)) return { name: 'build', rest: argv };
  throw unknownCommand(word);
}

function looksLikeContext(word: string): boolean {
  return /[/.:\\#]/.test(word) || existsSync(word);
}

async function loadVerb(name: string): Promise<Verb> {
  const entry = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (entry === undefined) throw unknownCommand(name);
  return entry.load();
}

function unknownCommand(word: string): BuildError {
  return new BuildError('USAGE', `\`${word}\` is neither a command nor a directory`, {
    hint: dockerWordHint(word) ?? suggestion(word, Object.keys(verbs)),
  });
}

/** Parses into the command; returns the help's text where that was asked for. Throws USAGE. */
function parse(verb: Verb, command: Command, argv: readonly string[]): string | undefined {
  let help = '';
  command.name(`tsbuild ${command.name()}`);
  command.exitOverride();
  command.configureOutput({ writeOut: (text) => (help += text), writeErr: () => undefined });
  if (verb.passThrough === true) command.passThroughOptions();
  try {
    const words = normalizeArgv(argv, command, { stopAtWord: verb.passThrough === true });
    command.parse(words, { from: 'user' });
    return undefined;
  } catch (error) {
    if (!isCommanderError(error)) throw error;
    if (error.code === 'commander.helpDisplayed' || error.code === 'commander.help') return help;
    throw usageError(error, command);
  }
}

function isCommanderError(error: unknown): error is CommanderError {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('commander.');
}

// Commander's text is `error: unknown option '--taget'\n(Did you mean --tag?)`.
function usageError(error: CommanderError, command: Command): BuildError {
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const near = /^\(Did you mean (.*)\?\)$/.exec(rest.join(' '))?.[1];
  const message = first
    .replaceAll("'", '`')
    .replace(/\.$/, '')
    .replace(/\. Expected .*/, '');
  // A word that is missing is best shown where it belongs.
  const hint =
    near !== undefined
      ? `did you mean \`${near}\`?`
      : error.code === 'commander.missingArgument' || error.code === 'commander.excessArguments'
        ? `write ${usageOf(command)}; see \`${command.name()} --help\``
        : `see \`${command.name()} --help\``;
  return new BuildError('USAGE', message, { hint, cause: error });
}

/** Its forms stand on lines of their own; of those after the first the name is a part. */
function usageOf(command: Command): string {
  const forms = `${command.name()} ${command.usage()}`.split('\n');
  return forms.map((form) => `\`${form.trim()}\``).join(' or ');
}

// Whatever an aborted build throws is the abort.
function asBuildError(error: unknown, signal: AbortSignal): unknown {
  const isAbort = error === signal.reason || (error instanceof Error && error.name === 'AbortError');
  return signal.aborted && isAbort && !(error instanceof BuildError)
    ? new BuildError('INTERRUPTED', 'interrupted')
    : machineError(error);
}

// Not every EPIPE: that of a connection to a registry must be told.
function isClosedPipe(error: unknown, context: CliContext): boolean {
  if (!context.stdoutClosed) return false;
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && cause.code === 'EPIPE') return true;
  }
  return false;
}

/** A Ctrl-C arrives twice where another process forwards it (bin/tsbuild.js on an old Node). Milliseconds. */
const sameSignal = 100;

/** Runs the command line of this process and ends it. */
export function start(): void {
  const controller = new AbortController();
  let first = 0;
  const interrupt = (): void => {
    const now = performance.now();
    if (controller.signal.aborted) {
      if (now - first > sameSignal) process.exit(130);
      return;
    }
    first = now;
    controller.abort(new BuildError('INTERRUPTED', 'interrupted'));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  // Closed pipes are found out where something is written; without a listener they would end the process with a stack.
  let stdoutError: NodeJS.ErrnoException | undefined;
  process.stdout.on('error', (error) => (stdoutError ??= error));
  process.stderr.on('error', () => undefined);
  // node:sqlite is announced as experimental at every start.
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (warning.name !== 'ExperimentalWarning') process.stderr.write(`${warning.name}: ${warning.message}\n`);
  });
  const end = (status: number): void => {
    // A full disk must be told: what was to be there is not. A closed pipe is a reader who has had enough.
    if (stdoutError === undefined || stdoutError.code === 'EPIPE' || status !== 0) process.exit(status);
    const error = new BuildError('OUTPUT_FAILED', `stdout cannot be written: ${stdoutError.message}`);
    process.stderr.write(reportError(error, { color: false, debug: false }), () => process.exit(1));
  };
  // Pipes are written in the background: what a slow reader has not got yet would be lost. A stream tells its error only after the
  // callbacks of its writes.
  const flushed = (status: number): void =>
    void process.stderr.write('', () => process.stdout.write('', () => setImmediate(() => end(status))));
  void main(process.argv.slice(2), {
    env: process.env,
    // A getter: few verbs read it, and opening it costs time.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    get stdoutClosed() {
      return stdoutError !== undefined;
    },
    signal: controller.signal,
    library: () => import('../index.ts'),
  }).then(flushed);
}
