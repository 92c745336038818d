import { BuildError } from '../util/build-error.ts';
import { didYouMean } from '../util/suggest.ts';
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
    extraHosts: checkedHosts(options.addHosts ?? []),
    shmSize: options.shmSize,
    limits: options.limits,
    isolated: options.network === 'isolated',
    ulimits: options.ulimits ?? [],
    allow: new Set([
      ...checkedRights(options.allow ?? []),
      ...(options.network === 'host' ? ['network.host'] : []),
    ]),
    drained: options.drained,
    onFailedStep: options.onFailedStep,
    signal: options.signal ?? new AbortController().signal,
    tempDir,
    [Symbol.asyncDispose]: () => ssh[Symbol.asyncDispose](),
  };
}

/** Of --add-host (C-EX-2). What is no address would make /etc/hosts useless. Throws USAGE. */
function checkedHosts(hosts: readonly string[]): readonly string[] {
  // Few builds have any: the module costs start-up time.
  const isAddress = (text: string): boolean => process.getBuiltinModule('node:net').isIP(text) !== 0;
  for (const host of hosts) {
    const [, name = '', address = ''] = /^([^:=\s]+)[:=](\S+)$/.exec(host) ?? [];
    if (name !== '' && (address === 'host-gateway' || isAddress(address.replace(/^\[(.*)\]$/, '$1'))))
      continue;
    throw new BuildError('USAGE', `\`${host}\` of --add-host has no address`, {
      hint:
        didYouMean(address, ['host-gateway']) ??
        'write it like name:10.0.0.1, name=[fd00::1] or name:host-gateway',
    });
  }
  return hosts;
}

/** Of --allow (C-EX-5); that of devices is BuildKit's, and grants nothing here. */
const rights = ['network.host', 'security.insecure', 'secret.leak', 'device'];

/** A misspelt right would be missed when a step asks for it. Throws USAGE. */
function checkedRights(given: readonly string[]): readonly string[] {
  for (const right of given) {
    const [name = '', value] = right.split(/=(.*)/s);
    const hasValue = name === 'secret.leak' || name === 'device';
    if (rights.includes(name) && (value === undefined || hasValue)) continue;
    throw new BuildError('USAGE', `there is no right \`${right}\` for --allow to grant`, {
      hint: didYouMean(name, rights) ?? 'network.host, security.insecure and secret.leak are',
    });
  }
  return given;
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
