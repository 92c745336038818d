import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BuildError } from '../../util/build-error.ts';
import { inWords } from '../../util/system-error.ts';
import { listenAt } from '../../util/unix-socket.ts';
import type { SshOption } from '../types.ts';
import type { SshKey } from './key.ts';

/** A key is much smaller. */
const MAX_KEY_FILE = 64 * 1024;

export interface SshSockets extends AsyncDisposable {
  /** id -> path of an agent's socket on this host. */
  readonly sockets: Readonly<Record<string, string>>;
}

/**
 * Sockets for `RUN --mount=type=ssh` and for git: the caller's agent, another socket, or an agent of our own in this process, that holds the
 * given key files and ends with the build (C-SE-2). Throws SECRET_MISSING where there is no agent, or a file is no key that can be used.
 */
export async function openSshSockets(
  options: readonly SshOption[],
  env: NodeJS.ProcessEnv,
  tempDir: () => Promise<string>,
): Promise<SshSockets> {
  const sockets: Record<string, string> = {};
  await using agents = new AsyncDisposableStack();
  for (const [index, { id, paths }] of options.entries()) {
    if (Object.hasOwn(sockets, id))
      throw new BuildError('USAGE', `--ssh ${id} is given twice`, {
        hint: `write all keys into one: --ssh ${id}=KEYFILE,KEYFILE`,
      });
    const agent = await socketOf(id, paths, env);
    if (agent !== undefined) {
      sockets[id] = agent;
      continue;
    }
    const keys = await Promise.all(paths.map((path) => readKey(id, path)));
    const path = join(await tempDir(), `ssh-${index}.sock`);
    const { serveKeys } = await import('./key-agent.ts');
    agents.use(await listenAt(path, (socket) => void serveKeys(socket, keys)));
    sockets[id] = path;
  }
  const held = agents.move();
  return { sockets, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** The socket that is named, or that of SSH_AUTH_SOCK; undefined: what is named are no sockets. */
async function socketOf(
  id: string,
  paths: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const first = paths[0] ?? env.SSH_AUTH_SOCK;
  if (first === undefined || first === '')
    throw new BuildError('SECRET_MISSING', `--ssh ${id}: there is no ssh agent`, {
      hint: `start one and set SSH_AUTH_SOCK, or name a key: --ssh ${id}=KEYFILE`,
    });
  const found = await Promise.all(
    (paths.length === 0 ? [first] : paths).map(async (path) => {
      const stats = await stat(path).catch((cause: unknown) => {
        const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
        const why = isMissing ? 'does not exist' : `cannot be read: ${inWords(cause)}`;
        throw new BuildError('SECRET_MISSING', `--ssh ${id}: ${path} ${why}`, {
          hint: `name a key or an agent’s socket: --ssh ${id}=PATH; without a path it is that of SSH_AUTH_SOCK`,
          cause,
        });
      });
      return stats.isSocket();
    }),
  );
  if (!found.includes(true)) return undefined;
  if (found.length > 1)
    throw new BuildError('USAGE', `--ssh ${id} names an agent’s socket together with something else`, {
      hint: 'give one socket, or keys alone; each id is one agent',
    });
  return first;
}

async function readKey(id: string, path: string): Promise<SshKey> {
  const { parseSshKey, KeyProblem } = await import('./key.ts');
  const problem = (text: string, hint?: string): BuildError =>
    new BuildError('SECRET_MISSING', `--ssh ${id}: ${path} ${text}`, { hint });
  const stats = await stat(path);
  if (!stats.isFile()) throw problem('is neither a file nor an agent’s socket');
  if (stats.size > MAX_KEY_FILE) throw problem('is too large for a key');
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw problem(`cannot be read: ${inWords(error)}`);
  });
  try {
    return parseSshKey(text);
  } catch (error) {
    if (error instanceof KeyProblem) throw problem(error.message, error.hint);
    throw error;
  }
}
