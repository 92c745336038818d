import type { ExecSettings } from './runners/exec.ts';
import { openSecrets } from './secrets.ts';
import type { SshSockets } from './ssh/sockets.ts';
import type { BuildOptions } from './types.ts';

/** The certificate authorities of `--ca`; undefined: none. Error: CREDENTIALS_INVALID. */
async function stepAuthorities(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const { authorityFiles, readAuthorities } = await import('../net/certificates.ts');
  return authorityFiles(env).length === 0 ? undefined : readAuthorities(env);
}

const proxyNames = ['http_proxy', 'https_proxy', 'ftp_proxy', 'no_proxy', 'all_proxy'];

/** What RUN steps get from the build's options. Dispose it after the last step: agents started for --ssh keys end then. */
export async function execSettings(
  options: BuildOptions,
  env: NodeJS.ProcessEnv,
  tempDir: () => Promise<string>,
): Promise<ExecSettings & AsyncDisposable> {
  const secrets = await openSecrets(options, env);
  const ssh = await sshSockets(options, env, tempDir);
  return {
    secrets,
    sshSockets: ssh.sockets,
    certificates: (env['TSBUILD_CA'] ?? '') === '' ? undefined : await stepAuthorities(env),
    proxyEnv: proxyVariables(options.buildArgs ?? {}, env),
    extraHosts: options.addHosts ?? [],
    shmSize: options.shmSize,
    limits: options.limits,
    isolated: options.network === 'isolated',
    ulimits: options.ulimits ?? [],
    allow: new Set([...(options.allow ?? []), ...(options.network === 'host' ? ['network.host'] : [])]),
    drained: options.drained,
    onFailedStep: options.onFailedStep,
    signal: options.signal ?? new AbortController().signal,
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
  const { openSshSockets } = await import('./ssh/sockets.ts');
  return openSshSockets(options.ssh, env, tempDir);
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
