import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.ts';
import { requireTool } from './require.ts';
import type { TestUser } from './users.ts';

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

/** OpenSSH's server on loopback, run by a user, whom it lets in with these keys. */
export interface SshServer extends AsyncDisposable {
  readonly port: number;
  /** As in known_hosts. */
  readonly knownHost: string;
  /** What it has written. */
  readonly log: () => string;
}

export async function startSshServer(user: TestUser, keys: readonly TestKey[]): Promise<SshServer> {
  const hostKey = makeKey(join(user.home, 'host-key'), 'ed25519');
  const authorized = join(user.home, 'authorized');
  writeFileSync(authorized, keys.map(({ publicLine }) => `${publicLine}\n`).join(''));
  const port = await freePort();
  const config = join(user.home, 'sshd_config');
  const settings = {
    ListenAddress: `127.0.0.1:${port}`,
    HostKey: hostKey.file,
    AuthorizedKeysFile: authorized,
    PasswordAuthentication: 'no',
    KbdInteractiveAuthentication: 'no',
    UsePAM: 'no',
    PidFile: 'none',
    StrictModes: 'no',
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} ${value}\n`);
  writeFileSync(config, lines.join(''));
  for (const file of [hostKey.file, authorized, config]) chownSync(file, user.uid, user.uid);
  const [first, ...as] = [...user.become, requireTool('sshd'), '-D', '-e', '-f', config];
  const server = spawn(first, as, {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  server.stderr.on('data', (data: Buffer) => (log += String(data)));
  const ended = once(server, 'close');
  while (!(await answers(port))) {
    if (server.exitCode !== null) throw new Error(`sshd does not start: ${log}`);
    await sleep(20);
  }
  return {
    port,
    knownHost: `[127.0.0.1]:${port} ${hostKey.publicLine}`,
    log: () => log,
    async [Symbol.asyncDispose]() {
      server.kill();
      await ended;
    },
  };
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  }).finally(() => socket.destroy()) as Promise<boolean>;
}
