import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BuildError } from '../util/build-error.ts';
import type { SshOption } from './types.ts';

export interface SshSockets extends AsyncDisposable {
  /** id -> path of an agent's socket on this host. */
  readonly sockets: Readonly<Record<string, string>>;
}

/**
 * Sockets for `RUN --mount=type=ssh`: the caller's agent, another socket, or an ssh-agent started here that holds the given key files and
 * ends with the build. Errors: SECRET_MISSING when there is no agent, UNSUPPORTED_HERE without OpenSSH's programs.
 */
export async function openSshSockets(
  options: readonly SshOption[],
  env: NodeJS.ProcessEnv,
  tempDir: () => Promise<string>,
): Promise<SshSockets> {
  const sockets: Record<string, string> = {};
  const agents: (() => void)[] = [];
  const dispose = (): Promise<void> => {
    for (const end of agents) end();
    return Promise.resolve();
  };
  try {
    for (const [index, option] of options.entries()) {
      const first = option.paths[0] ?? env.SSH_AUTH_SOCK;
      if (first === undefined || first === '') {
        throw new BuildError('SECRET_MISSING', `--ssh ${option.id}: there is no ssh agent`, {
          hint: 'start one and set SSH_AUTH_SOCK, or name a key: --ssh default=KEYFILE',
        });
      }
      const found = await stat(first).catch(() => undefined);
      if (found === undefined) {
        throw new BuildError('SECRET_MISSING', `--ssh ${option.id}: ${first} does not exist`);
      }
      if (found.isSocket()) {
        sockets[option.id] = first;
        continue;
      }
      const socket = join(await tempDir(), `ssh-${index}.sock`);
      agents.push(await startAgent(socket, option.paths));
      sockets[option.id] = socket;
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  return { sockets, [Symbol.asyncDispose]: dispose };
}

async function startAgent(socket: string, keys: readonly string[]): Promise<() => void> {
  const agent = spawn('ssh-agent', ['-D', '-a', socket], {
    stdio: 'ignore',
    env: { PATH: process.env.PATH },
  });
  const failed = once(agent, 'error').then(([error]) => error as Error);
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if ((await stat(socket).catch(() => undefined)) !== undefined) break;
    const error = await Promise.race([failed, delay(20)]);
    if (error instanceof Error) {
      throw new BuildError('UNSUPPORTED_HERE', 'ssh keys need the program ssh-agent', {
        cause: error,
        hint: 'install openssh-client, or hand over a running agent: --ssh default=$SSH_AUTH_SOCK',
      });
    }
  }
  const add = spawn('ssh-add', ['-q', ...keys], {
    stdio: 'ignore',
    env: { PATH: process.env.PATH, SSH_AUTH_SOCK: socket, SSH_ASKPASS_REQUIRE: 'never' },
  });
  const [code] = (await once(add, 'exit')) as [number | null];
  if (code !== 0) {
    agent.kill();
    throw new BuildError('SECRET_MISSING', `ssh-add does not take ${keys.join(', ')}`, {
      hint: 'the file must be a private key without a passphrase, readable by you alone',
    });
  }
  return () => agent.kill();
}
