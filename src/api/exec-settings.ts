import { readFile, stat } from 'node:fs/promises';
import { BuildError } from '../util/build-error.ts';
import type { ExecSettings } from './runners/exec.ts';
import type { SshSockets } from './ssh.ts';
import type { BuildOptions, SecretOption } from './types.ts';

const proxyNames = ['http_proxy', 'https_proxy', 'ftp_proxy', 'no_proxy', 'all_proxy'];
const secretLimit = 500 * 1024;

/** What RUN steps get from the build's options. Dispose it after the last step: agents started for --ssh keys end then. */
export async function execSettings(
  options: BuildOptions,
  env: NodeJS.ProcessEnv,
  tempDir: () => Promise<string>,
): Promise<ExecSettings & AsyncDisposable> {
  const secrets = new Map((options.secrets ?? []).map((secret) => [secret.id, secret]));
  for (const secret of secrets.values()) await checkSecret(secret);
  const ssh = await sshSockets(options, env, tempDir);
  return {
    secrets: {
      get: async (id) => {
        const secret = secrets.get(id);
        return secret === undefined ? undefined : secretBytes(secret, env);
      },
    },
    sshSockets: ssh.sockets,
    proxyEnv: proxyVariables(options.buildArgs ?? {}, env),
    extraHosts: options.addHosts ?? [],
    shmSize: options.shmSize,
    ulimits: options.ulimits ?? [],
    allow: new Set([...(options.allow ?? []), ...(options.network === 'host' ? ['network.host'] : [])]),
    drained: options.drained,
    tempDir,
    [Symbol.asyncDispose]: () => ssh[Symbol.asyncDispose](),
  };
}

async function sshSockets(
  options: BuildOptions,
  env: NodeJS.ProcessEnv,
  tempDir: () => Promise<string>,
): Promise<SshSockets> {
  if (options.ssh === undefined || options.ssh.length === 0) {
    return { sockets: {}, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const { openSshSockets } = await import('./ssh.ts');
  return openSshSockets(options.ssh, env, tempDir);
}

/** A secret file that is not there is told before anything runs. */
async function checkSecret(secret: SecretOption): Promise<void> {
  if (secret.file === undefined) return;
  const found = await stat(secret.file).catch(() => undefined);
  if (found !== undefined && found.size > secretLimit) throw tooLarge(secret.id);
  if (found?.isFile() !== true) {
    throw new BuildError(
      'SECRET_MISSING',
      `the file of secret \`${secret.id}\` cannot be read: ${secret.file}`,
      {
        hint: 'give an existing file: --secret id=ID,src=FILE',
      },
    );
  }
}

async function secretBytes(secret: SecretOption, env: NodeJS.ProcessEnv): Promise<Uint8Array | undefined> {
  const bytes =
    secret.value !== undefined
      ? Buffer.from(secret.value)
      : secret.file !== undefined
        ? await readFile(secret.file)
        : textBytes(env[secret.env ?? secret.id]);
  if (bytes !== undefined && bytes.length > secretLimit) {
    throw tooLarge(secret.id);
  }
  return bytes;
}

function tooLarge(id: string): BuildError {
  return new BuildError('SECRET_MISSING', `the secret \`${id}\` is larger than 500 KiB`);
}

function textBytes(text: string | undefined): Uint8Array | undefined {
  return text === undefined ? undefined : Buffer.from(text);
}

/**
 * Proxy settings reach every RUN and no cache key (L-ARG-7): --build-arg first, then the environment. Programs differ in whether they
 * look for upper or lower case, so one that is given in one of them is there in both, as with BuildKit.
 */
function proxyVariables(buildArgs: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv): string[] {
  const result: string[] = [];
  for (const lower of proxyNames) {
    const upper = lower.toUpperCase();
    const given = (name: string): string | undefined => buildArgs[name] ?? env[name];
    const values = { [lower]: given(lower) ?? given(upper), [upper]: given(upper) ?? given(lower) };
    for (const [name, value] of Object.entries(values))
      if (value !== undefined) result.push(`${name}=${value}`);
  }
  return result;
}
