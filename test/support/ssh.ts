import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { requireTool } from './require.ts';

export interface TestKey {
  readonly file: string;
  /** Of authorized_keys: type, base64, comment. */
  readonly publicLine: string;
}

/** Makes a pair of keys with ssh-keygen: `flags` choose another format or a passphrase. */
export function makeKey(file: string, type: string, flags: readonly string[] = ['-N', '']): TestKey {
  execFileSync(requireTool('ssh-keygen'), ['-q', '-t', type, '-C', 'me@here', '-f', file, ...flags]);
  return { file, publicLine: readFileSync(`${file}.pub`, 'utf8').trim() };
}

/** OpenSSH's own agent. */
export interface TestAgent extends Disposable {
  readonly socket: string;
  add(file: string): void;
  /** What `ssh-add -L` says. */
  lists(): string;
}

export function startAgent(socket: string): TestAgent {
  const started = execFileSync(requireTool('ssh-agent'), ['-a', socket], { encoding: 'utf8' });
  const pid = Number(/SSH_AGENT_PID=(\d+)/.exec(started)?.[1]);
  const add = (...args: readonly string[]): string =>
    execFileSync(requireTool('ssh-add'), args, {
      env: { SSH_AUTH_SOCK: socket },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  return {
    socket,
    add: (file) => void add(file),
    lists: () => add('-L'),
    [Symbol.dispose]: () => void process.kill(pid),
  };
}
