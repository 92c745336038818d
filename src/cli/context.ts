import type * as library from '../index.ts';
import { BuildError } from '../util/build-error.ts';

/** The library as a module: loaded only by a verb that needs it, so that `--help` and usage errors start fast. */
export type Library = typeof library;

/** A stream the command writes to. */
export interface Output extends NodeJS.WritableStream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  readonly writableNeedDrain?: boolean | undefined;
}

/** What a command knows of the process around it. Tests hand in their own. */
export interface CliContext {
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Whether the reader of stdout has gone. */
  readonly stdoutClosed: boolean;
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  readonly library: () => Promise<Library>;
}

/** Options that every verb has. */
export interface CommonFlags {
  readonly root?: string | undefined;
  readonly debug?: boolean | undefined;
  readonly insecureRegistry?: readonly string[] | undefined;
  readonly trustedRealm?: readonly string[] | undefined;
  readonly registryMirror?: Readonly<Record<string, readonly string[]>> | undefined;
  readonly insecure?: boolean | undefined;
  readonly hostsDir?: readonly string[] | undefined;
  readonly allowNondistributableArtifacts?: readonly string[] | undefined;
  readonly buildkitdConfig?: string | undefined;
  readonly skipDefaultRegistryFallback?: boolean | undefined;
  /** False with --no-registry-files. */
  readonly registryFiles?: boolean | undefined;
  readonly ca?: readonly string[] | undefined;
  readonly creds?: Readonly<Record<string, library.RegistryCredential>> | undefined;
}

/** What every call of the library gets from a command line. Throws USAGE for an empty --root, which would be the current directory. */
export function commonOptions(
  flags: CommonFlags,
  context: CliContext,
  image?: string,
): library.CommonOptions {
  if (flags.root === '') {
    throw new BuildError('USAGE', '`--root` is empty', { hint: 'name a directory; a variable may be unset' });
  }
  return {
    root: flags.root,
    env: context.env,
    signal: context.signal,
    insecureRegistries: flags.insecure === true ? ['*'] : flags.insecureRegistry,
    trustedRealms: flags.trustedRealm,
    registryMirrors: flags.registryMirror,
    nondistributableRegistries: flags.allowNondistributableArtifacts,
    mirrorsOnly: flags.skipDefaultRegistryFallback,
    registryFiles: registryFiles(flags),
    credentials: credentialsFor(flags.creds, image),
    certificateAuthorities: flags.ca,
  };
}

function registryFiles(flags: CommonFlags): library.CommonOptions['registryFiles'] {
  const { hostsDir: hostsDirectories, buildkitdConfig } = flags;
  if (flags.registryFiles === false) return false;
  if (hostsDirectories === undefined && buildkitdConfig === undefined) return undefined;
  return { hostsDirectories, buildkitdConfig };
}

/** `--creds` without a registry is for that of the image which the command names first. Throws USAGE where it names none. */
function credentialsFor(
  given: CommonFlags['creds'],
  image: string | undefined,
): library.CommonOptions['credentials'] {
  const { '': own, ...others } = given ?? {};
  if (own === undefined) return given;
  if (image === undefined) {
    throw new BuildError('USAGE', '`--creds` does not say for which registry', {
      hint: 'write --creds REGISTRY=USER:PASSWORD',
    });
  }
  const first = /^(?:docker:\/\/)?([^/]*)\//.exec(image)?.[1] ?? '';
  const registry = /[.:[]/.test(first) || first === 'localhost' ? first : 'docker.io';
  return { [registry]: own, ...others };
}

/** Whether colours may be written to a stream: a terminal, and NO_COLOR is not set (no-color.org). */
export function hasColor(output: Output, env: NodeJS.ProcessEnv): boolean {
  return output.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

/** Whether a shell can have a terminal of its own. */
export function hasTerminal({ stdin, stdout }: CliContext): boolean {
  return stdin.isTTY && stdout.isTTY === true;
}
