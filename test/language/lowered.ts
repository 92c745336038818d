import type { LowerOptions, LowerResult } from '../../src/frontend/lower.ts';
import { lower } from '../../src/frontend/lower.ts';
import { parseDockerfile } from '../../src/frontend/parse.ts';
import type { ContainerConfig, ImageConfig } from '../../src/oci/config.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { Platform } from '../../src/oci/platform.ts';
import { formatPlatform, normalizePlatform } from '../../src/oci/platform.ts';
import { BuildError } from '../../src/util/build-error.ts';

export const amd64: Platform = { os: 'linux', architecture: 'amd64' };

/** Base images by full name; a name that is not there is IMAGE_NOT_FOUND. The architecture is what was asked for, unless one stands here. */
export type Bases = Readonly<Record<string, Partial<ImageConfig>>>;

export interface LowerSetup extends Partial<LowerOptions> {
  readonly bases?: Bases;
  /** Gets `reference platform` of each image that was asked for. */
  readonly asked?: string[];
}

/** Lowers a Dockerfile for linux/amd64, nobody having asked for a platform. */
export function lowerText(text: string, setup: LowerSetup = {}): Promise<LowerResult> {
  const { bases = {}, asked = [], ...options } = setup;
  return lower(parseDockerfile({ name: 'Dockerfile', text }), {
    buildArgs: {},
    platform: amd64,
    buildPlatform: amd64,
    platformIsExplicit: false,
    namedContexts: {},
    resolveImage: async (reference, platform) => {
      asked.push(`${reference} ${formatPlatform(platform)}`);
      await Promise.resolve();
      const known = Object.hasOwn(bases, reference) ? bases[reference] : undefined;
      if (known === undefined) throw new BuildError('IMAGE_NOT_FOUND', `there is no image ${reference}`);
      const { variant, architecture = platform.architecture, os = platform.os } = known;
      const features = known['os.features'];
      const version = known['os.version'];
      return {
        reference,
        digest: digestOf(`${reference} ${architecture}`),
        platform: normalizePlatform({
          os,
          architecture,
          ...(variant === undefined ? {} : { variant }),
          ...(version === undefined ? {} : { 'os.version': version }),
          ...(features === undefined ? {} : { 'os.features': features }),
        }),
        config: { architecture, os, rootfs: { type: 'layers', diff_ids: [] }, ...known },
      };
    },
    ...options,
  });
}

/** The image that a Dockerfile makes: its config, its new history entries (`*` in front of those with a layer), its steps' names. */
export interface LoweredSummary {
  readonly config: ContainerConfig;
  readonly history: readonly string[];
  readonly steps: readonly string[];
  readonly platform: Platform;
  readonly warnings: readonly string[];
}

export async function imageOf(text: string, setup: LowerSetup = {}): Promise<LoweredSummary> {
  const { images, definition, diagnostics } = await lowerText(text, setup);
  const [image] = images;
  if (image === undefined) throw new Error('no image');
  return {
    config: image.config.config,
    history: image.history.map(
      ({ created_by, vertex }) => `${vertex === undefined ? '' : '* '}${created_by ?? ''}`,
    ),
    steps: definition.vertices.map(({ meta }) => meta.name),
    platform: image.platform,
    warnings: diagnostics.map(({ rule }) => rule),
  };
}

/** What a Dockerfile is refused for: `CODE line:column message | hint`, in order. Fails when it is not refused. */
export async function faultsOf(text: string, setup: LowerSetup = {}): Promise<readonly string[]> {
  const error = await lowerText(text, setup).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof BuildError)) throw error ?? new Error('the Dockerfile is not refused');
  return [error, ...error.others].map(({ code, message, hint, source }) => {
    const { line, column } = source?.range.start ?? { line: '-', column: '-' };
    const name = source?.source.name ?? 'Dockerfile';
    const place = `${name === 'Dockerfile' ? '' : `${name}:`}${line}:${column}`;
    return `${code} ${place} ${message}${hint === undefined ? '' : ` | ${hint}`}`;
  });
}
