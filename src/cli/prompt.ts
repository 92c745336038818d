import { StringDecoder } from 'node:string_decoder';
import { BuildError } from '../util/build-error.ts';
import type { CliContext } from './context.ts';

/**
 * Asks on stderr and reads one line of the terminal on stdin; without `echo` nothing typed is shown. Throws INTERRUPTED
 * for Ctrl-C, and USAGE when stdin ends or is no terminal.
 */
export async function prompt(
  question: string,
  context: CliContext,
  { echo }: { readonly echo: boolean },
): Promise<string> {
  const { stdin, stderr } = context;
  if (!stdin.isTTY) throw new BuildError('USAGE', 'there is no terminal to ask on');
  stderr.write(question);
  // In raw mode the terminal shows nothing and leaves Ctrl-C, Ctrl-D and the eraser to us.
  if (!echo) stdin.setRawMode(true);
  try {
    return await readLine(context, !echo);
  } finally {
    if (!echo) {
      stdin.setRawMode(false);
      stderr.write('\n');
    }
    stdin.pause();
  }
}

async function readLine({ stdin, signal }: CliContext, raw: boolean): Promise<string> {
  const decoder = new StringDecoder('utf8');
  let line = '';
  return new Promise((resolve, reject) => {
    const settle = (action: () => void): void => {
      stdin.removeListener('data', onData);
      stdin.removeListener('end', onEnd);
      signal.removeEventListener('abort', onAbort);
      action();
    };
    const onAbort = (): void => settle(() => reject(new BuildError('INTERRUPTED', 'interrupted')));
    const onEnd = (): void => settle(() => reject(new BuildError('USAGE', 'the terminal was closed')));
    const onData = (chunk: Buffer): void => {
      for (const character of decoder.write(chunk)) {
        if (character === '\n' || character === '\r') return settle(() => resolve(line));
        if (raw && character === '\x03') return onAbort();
        if (raw && character === '\x04') return line === '' ? onEnd() : settle(() => resolve(line));
        if (raw && (character === '\x7f' || character === '\b'))
          line = Array.from(line).slice(0, -1).join('');
        else if (raw && character === '\x15') line = '';
        else line += character;
      }
    };
    if (signal.aborted) return onAbort();
    stdin.on('data', onData);
    stdin.on('end', onEnd);
    signal.addEventListener('abort', onAbort);
    stdin.resume();
  });
}
