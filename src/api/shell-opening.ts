import type { ShellOpening } from './steps/steps.ts';
import type { ShellStreams } from './types.ts';

// All that differs from the step is in the arguments, the name of the caller's terminal too: environment and sandbox are the step's.
const interactive = `TERM="\${TERM:-$1}"; export TERM; if command -v bash >/dev/null; then exec bash; fi; exec sh`;

/** How a shell is run: bash at a terminal where there is one, else sh. */
export function shellOpening(streams: ShellStreams, signal: AbortSignal): ShellOpening {
  const { command, tty = false, onOutput = (): void => undefined } = streams;
  const terminal = streams.interactive === true ? (tty ? 'tty' : 'plain') : undefined;
  return { args: shellArgs(command, terminal === 'tty'), terminal, onOutput, signal };
}

export function shellArgs(command: string | undefined, tty: boolean): readonly string[] {
  if (command !== undefined) return ['sh', '-c', command];
  return tty ? ['sh', '-c', interactive, 'sh', process.env['TERM'] ?? 'xterm'] : ['sh'];
}
