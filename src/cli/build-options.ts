import { addAbortSignal } from 'node:stream';
import { BuildError } from '../util/build-error.ts';
import type { BuildOptions, OutputOption } from '../index.ts';
import type { BuildFlags, PlanFlags } from './build-flags.ts';
import { parseCacheFrom, parseCacheMountsFrom, parseCacheMountsTo, parseCacheTo } from './cache-option.ts';
import { commonOptions } from './context.ts';
import type { CliContext } from './context.ts';
import { limitOptions } from './limit-flags.ts';
import { parseOutput } from './output-option.ts';
import {
  parseAddHost,
  parseAnnotations,
  parseBuildArgs,
  readBuildArgs,
  parseBuildContexts,
  parseChoice,
  parseLabels,
  parseSecret,
  parseSsh,
  parseUlimit,
} from './values.ts';

/** The library's options for what decides which steps there are. Throws USAGE. */
export function planOptions(flags: PlanFlags, contextWord: string, context: CliContext): BuildOptions {
  if (contextWord === '-' && flags.file === '-') {
    throw new BuildError('USAGE', 'the context and the Dockerfile cannot both come from stdin', {
      hint: 'give a directory as the context, or the path of the Dockerfile with -f',
    });
  }
  return {
    ...commonOptions(flags, context, (flags as BuildFlags).tag?.[0]),
    context: contextWord === '-' ? { stream: pipedStdin(context, 'a tar or a Dockerfile') } : contextWord,
    dockerfile:
      flags.file === '-'
        ? { stream: pipedStdin(context, 'a Dockerfile') }
        : flags.file === ''
          ? undefined
          : flags.file,
    buildArgs: parseBuildArgs(
      [...readBuildArgs(flags.buildArgFile ?? []), ...(flags.buildArg ?? [])],
      context.env,
    ),
    target: flags.target,
    // What is wrong with it, or with that of the environment, the library says.
    platform: flags.platform?.join(','),
    buildContexts: parseBuildContexts(flags.buildContext ?? []),
    contextModes: flags.contextModes,
    labels: parseLabels(flags.label ?? []),
    annotations: parseAnnotations(flags.annotation ?? []),
    pull: pullOption(flags.pull),
    addHosts: flags.addHost?.map(parseAddHost),
    shmSize: flags.shmSize,
    ulimits: flags.ulimit?.map(parseUlimit),
    network: flags.network,
    allow: flags.allow?.flatMap((text) => text.split(',')),
    sourceDateEpoch: flags.sourceDateEpoch,
  };
}

/** The library's options for a build command line. Throws USAGE. */
export function buildOptions(flags: BuildFlags, contextWord: string, context: CliContext): BuildOptions {
  const { outputs, load } = outputOptions(flags, context);
  const names = [...(flags.tag ?? []), ...outputs.flatMap((output) => output.names ?? [])];
  const pushes = outputs.some((output) => output.type === 'registry' || output.push === true);
  if (pushes && names.length === 0) {
    throw new BuildError('USAGE', 'a push needs a name for the image', { hint: 'add -t REGISTRY/NAME:TAG' });
  }
  return {
    ...planOptions(flags, contextWord, context),
    tags: flags.tag,
    ...cacheOptions(flags),
    cacheFrom: flags.cacheFrom?.map(parseCacheFrom),
    cacheTo: flags.cacheTo?.map(parseCacheTo),
    cacheMountsFrom: flags.cacheMountsFrom?.map(parseCacheMountsFrom),
    cacheMountsTo: flags.cacheMountsTo?.map(parseCacheMountsTo),
    ...secretOptions(flags, context),
    outputs: outputs.length === 0 ? undefined : outputs,
    load,
    limits: limitOptions(flags),
    parallelism: flags.parallelism ?? flags.jobs,
    runtime: flags.runtime,
    isolation: flags.isolation,
    timeout: flags.timeout,
    storeLimit: flags.storeLimit,
    gc: flags.gc === false ? false : undefined,
  };
}

/** Which steps are run anew. */
export function cacheOptions(
  flags: Pick<BuildFlags, 'cache' | 'cacheFilter' | 'noCacheFrom'>,
): Pick<BuildOptions, 'noCache' | 'noCacheFilter' | 'noCacheFrom'> {
  return {
    noCache: flags.cache === false ? true : undefined,
    noCacheFilter: flags.cacheFilter?.flatMap((text) => text.split(',')),
    noCacheFrom: flags.noCacheFrom,
  };
}

/** Throws USAGE. */
export function secretOptions(
  flags: Pick<BuildFlags, 'secret' | 'ssh'>,
  { env }: CliContext,
): Pick<BuildOptions, 'secrets' | 'ssh'> {
  return {
    secrets: flags.secret?.map((text) => parseSecret(text, env)),
    ssh: flags.ssh?.map(parseSsh),
  };
}

function outputOptions(
  flags: BuildFlags,
  context: CliContext,
): { readonly outputs: readonly OutputOption[]; readonly load: BuildOptions['load'] } {
  let load = loadOption(flags.load);
  let outputs: OutputOption[] = [];
  for (const text of flags.output ?? []) {
    const parsed = parseOutput(text, context.stdout);
    if ('loadIntoDocker' in parsed) load = 'docker';
    else outputs.push(parsed.output);
  }
  if (outputs.filter((output) => output.stream !== undefined).length > 1) {
    throw new BuildError('USAGE', 'only one output can go to stdout', {
      hint: 'give the others a dest=FILE',
    });
  }
  if (flags.push === true) {
    outputs = outputs.map((output) => (output.type === 'image' ? { ...output, push: true } : output));
    if (!outputs.some(({ type }) => type === 'image' || type === 'registry'))
      outputs.push({ type: 'registry' });
  }
  return { outputs, load };
}

function pullOption(value: string | undefined): BuildOptions['pull'] {
  if (value === undefined || /^(false|f|0)$/i.test(value)) return undefined;
  if (value === '' || /^(true|t|1)$/i.test(value)) return 'always';
  return parseChoice(value, '--pull', ['always', 'missing', 'never', 'newer'] as const);
}

function loadOption(value: string | undefined): BuildOptions['load'] {
  if (value === undefined || /^(false|f|0)$/i.test(value)) return undefined;
  if (value === '' || /^(true|t|1)$/i.test(value)) return true;
  return parseChoice(value, '--load', ['podman', 'docker'] as const);
}

function pipedStdin(context: CliContext, what: string): NodeJS.ReadStream {
  if (context.stdin.isTTY) {
    throw new BuildError('USAGE', `stdin is a terminal, and ${what} is expected there`, {
      hint: 'pipe it in, or redirect stdin',
    });
  }
  // Whoever waits for more of it then stops.
  return addAbortSignal(context.signal, context.stdin);
}
