import { BuildError } from '../util/build-error.ts';
import type { ShellOpening } from './steps/steps.ts';
import type { ShellStreams } from './types.ts';

// All that differs from the step is in the arguments, the name of the caller's terminal too: environment and sandbox are the step's.
const interactive = `TERM="\${TERM:-$1}"; export TERM; if command -v bash >/dev/null; then exec bash; fi; exec sh`;

/** How a shell is run: bash at a terminal where there is one, else sh. Throws USAGE. */
export function shellOpening(streams: ShellStreams, signal: AbortSignal): ShellOpening {
  requireTerminal(streams);
  const { command, tty = false, onOutput = (): void => undefined } = streams;
  const terminal = streams.interactive === true ? (tty ? 'tty' : 'plain') : undefined;
  return { args: shellArgs(command, terminal === 'tty'), terminal, onOutput, signal };
}

/** A container's terminal is a copy of this process's own, which has to have one. Throws USAGE. */
export function requireTerminal(streams: Pick<ShellStreams, 'interactive' | 'tty'>): void {
  const isAsked = streams.interactive === true && streams.tty === true;
  if (!isAsked || (process.stdin.isTTY && process.stdout.isTTY)) return;
  throw new BuildError('USAGE', '`tty` needs a terminal on stdin and stdout of this process', {
    hint: 'leave it out: `interactive` alone connects stdin',
  });
}

export function shellArgs(command: string | undefined, tty: boolean): readonly string[] {
  if (command !== undefined) return ['sh', '-c', command];
  return tty ? ['sh', '-c', interactive, 'sh', process.env['TERM'] ?? 'xterm'] : ['sh'];
}
