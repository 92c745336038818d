import { BuildError } from '../util/build-error.ts';
import type { ResolvedImage } from '../frontend/lowering.ts';
import type { BaseImages } from './base-images.ts';
import { createBaseImages } from './base-images.ts';
import { knownRuntime } from './known-runtime.ts';
import { withSession } from './session.ts';
import { requireTerminal } from './shell-opening.ts';
import { openSteps } from './steps/open-steps.ts';
import type { RunOptions } from './types.ts';
import type { Platform } from '../oci/platform.ts';
import { hostPlatform, normalizePlatform } from '../oci/platform.ts';
import type { ContainerConfig, ImageConfig } from '../oci/config.ts';

const defaultPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Runs a command in an image, in the sandbox that RUN steps have; what it writes is thrown away when it ends. The image comes from the
 * store, else from its registry. The status of the command is a result, not an error.
 */
export async function run(options: RunOptions): Promise<{ readonly exitCode: number }> {
  requireTerminal(options);
  return withSession(options, async (session) => {
    const layerStore = session.layerStore();
    const bases = createBaseImages(session, layerStore, false);
    const { config, digest, reference } = await resolveImage(bases, options.image);
    const layers = await bases.layers(reference, digest);
    await using steps = await openSteps(session, {
      layerStore,
      runtime: await knownRuntime(options.runtime),
      isolation: options.isolation,
    });
    const image = config.config ?? {};
    options.onReady?.();
    // Awaited here: the steps are closed when this function ends.
    return await steps.runContainer({
      layers,
      args: commandOf(image, options),
      env: environmentOf(image, options, session.env),
      cwd:
        options.workdir ??
        (image.WorkingDir === undefined || image.WorkingDir === '' ? '/' : image.WorkingDir),
      user: options.user ?? image.User ?? '',
      platform: platformOf(config),
      volumes: (options.volumes ?? []).map(parseVolume),
      network: options.network === 'isolated' ? 'default' : (options.network ?? 'default'),
      isolated: options.network === 'isolated',
      tty: options.tty ?? false,
      interactive: options.interactive ?? false,
      ...(options.hostname === undefined ? {} : { hostname: options.hostname }),
      onOutput: options.onOutput ?? ((): void => undefined),
      signal: session.signal,
    });
  });
}

/** Most who name an image here have built it: a trouble of the network alone would not say that it is not there. */
async function resolveImage(bases: BaseImages, image: string): Promise<ResolvedImage> {
  try {
    return await bases.resolve(image, hostPlatform());
  } catch (error) {
    const { code, message, hint, details } = error instanceof BuildError ? error : {};
    const isAbsent =
      code === 'IMAGE_NOT_FOUND' || code === 'REGISTRY_UNREACHABLE' || code === 'REGISTRY_UNAUTHORIZED';
    if (!isAbsent) throw error;
    throw new BuildError(code, `the store has no image \`${image}\`; as one of a registry: ${message}`, {
      hint: ['`tsbuild images` lists what is there', hint].filter((each) => each !== undefined).join('; '),
      details: details ?? {},
      cause: error,
    });
  }
}

function platformOf({ os, architecture, variant }: ImageConfig): Platform {
  return normalizePlatform({ os, architecture, ...(variant === undefined ? {} : { variant }) });
}

/** ENTRYPOINT and CMD as Docker joins them: --entrypoint drops the image's CMD. */
function commandOf(image: ContainerConfig, options: RunOptions): readonly string[] {
  const given = options.args ?? [];
  const args =
    options.entrypoint === undefined
      ? [...(image.Entrypoint ?? []), ...(given.length > 0 ? given : (image.Cmd ?? []))]
      : [...(options.entrypoint === '' ? [] : [options.entrypoint]), ...given];
  if (args.length > 0) return args;
  throw new BuildError('USAGE', `the image ${options.image} says no command to run`, {
    hint: 'name one: tsbuild run IMAGE COMMAND',
  });
}

function environmentOf(image: ContainerConfig, options: RunOptions, env: NodeJS.ProcessEnv): string[] {
  const merged = new Map<string, string>();
  const set = (assignment: string): void => void merged.set(assignment.split('=', 1)[0] ?? '', assignment);
  set(defaultPath);
  for (const assignment of image.Env ?? []) set(assignment);
  for (const assignment of options.environment ?? []) {
    if (assignment.startsWith('='))
      throw new BuildError('USAGE', `\`${assignment}\` has no name for a variable`, {
        hint: 'write it like -e NAME=value',
      });
    if (assignment.includes('=')) set(assignment);
    else if (env[assignment] !== undefined) set(`${assignment}=${env[assignment]}`);
  }
  if (options.tty === true && !merged.has('TERM')) set('TERM=xterm');
  return [...merged.values()];
}

function parseVolume(text: string): { source: string; target: string; readonly: boolean } {
  const [source = '', target = '', mode, ...rest] = text.split(':');
  const known = mode === undefined || mode === 'ro' || mode === 'rw';
  if (rest.length > 0 || !known || !source.startsWith('/') || !target.startsWith('/')) {
    throw new BuildError('USAGE', `\`${text}\` is no volume`, {
      hint: 'write it like -v /host/path:/container/path[:ro], with absolute paths',
    });
  }
  return { source, target, readonly: mode === 'ro' };
}
