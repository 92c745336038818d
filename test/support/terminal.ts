import { execFileSync, spawn } from 'node:child_process';
import { closeSync, fchownSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { openTerminal, setTerminalSize } from '../../src/host/terminal.ts';
import { binary } from './paths.ts';
import type { TestUser } from './users.ts';

/** What is typed once a text has appeared; or a new size. */
export type Turn = readonly [
  shown: string | RegExp,
  then: string | { readonly rows: number; readonly columns: number },
];

export interface TerminalResult {
  /** 128 + n when a signal ended it. */
  readonly code: number;
  /** All that was shown, without what moves the cursor and colours. */
  readonly screen: string;
  /** Whether the terminal is as it was: lines are edited, and what is typed is shown. */
  readonly restored: boolean;
}

/** Runs the built command at a terminal of 90 to 30, and types. A turn whose text never appears ends in the test's own limit. */
export async function onTerminal(
  args: readonly string[],
  turns: readonly Turn[],
  { cwd, user }: { readonly cwd?: string; readonly user?: TestUser | undefined } = {},
): Promise<TerminalResult> {
  const { master, slave } = openTerminal();
  setTerminalSize(master, { rows: 30, columns: 90 });
  if (user !== undefined) fchownSync(slave, user.uid, -1);
  // The session's own terminal: signals come as from a real one.
  const child = spawn('setsid', ['--ctty', ...(user?.become ?? []), process.execPath, binary, ...args], {
    cwd: cwd ?? user?.home,
    stdio: [slave, slave, slave],
    env: { PATH: process.env['PATH'], HOME: user?.home ?? process.env['HOME'], TERM: 'xterm' },
    timeout: 15_000,
    killSignal: 'SIGKILL',
  });
  const stream = new ReadStream(master).on('error', () => {});
  const left = [...turns];
  let screen = '';
  let from = 0;
  stream.on('data', (data: Buffer) => {
    screen += data.toString();
    const [shown, then] = left[0] ?? [];
    if (shown === undefined || then === undefined) return;
    const rest = plain(screen).slice(from);
    if (typeof shown === 'string' ? !rest.includes(shown) : !shown.test(rest)) return;
    left.shift();
    from = plain(screen).length;
    if (typeof then === 'string') stream.write(then);
    else setTerminalSize(master, then);
  });
  const code = await new Promise<number>((resolve) => {
    child.once('exit', (status, signal) => resolve(status ?? (signal === null ? 255 : 128)));
  });
  const modes = execFileSync('stty', ['-a'], { stdio: [slave, 'pipe', 'inherit'], encoding: 'utf8' });
  closeSync(slave);
  await new Promise((resolve) => stream.once('close', resolve));
  if (left.length > 0) throw new Error(`never shown: ${String(left[0]?.[0])}\n${plain(screen)}`);
  return { code, screen: plain(screen), restored: / icanon/.test(modes) && / echo /.test(modes) };
}

function plain(text: string): string {
  // oxlint-disable-next-line no-control-regex -- escape sequences are made of them
  return text.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '').replaceAll('\r\n', '\n');
}
