import { lower } from '../frontend/lower.ts';
import type { ResolvedImage } from '../frontend/lower.ts';
import type { ParsedDockerfile } from '../frontend/parse.ts';
import { parseDockerfile } from '../frontend/parse.ts';
import { listTargets, outlineOf } from '../frontend/outline.ts';
import type { LowerResult } from '../frontend/lower.ts';
import { digestOfJson } from '../oci/digest.ts';
import type { Platform } from '../oci/platform.ts';
import { openContexts } from './contexts.ts';
import { lowerOptions } from './plan.ts';
import { withSession } from './session.ts';
import type { BuildOptions, Outline, TargetList } from './types.ts';

/**
 * What a build of the target takes: its arguments with their values, its secrets and its ssh agents. Reads the Dockerfile alone: no base
 * image is looked up, so values that come from one are not known, and triggers of one are not seen.
 */
export function outline(options: BuildOptions): Promise<Outline> {
  return withoutBases(options, (file, lowered) => ({
    source: file.source,
    ...outlineOf(file, lowered, options.target),
  }));
}

/** The stages that can be built. Reads the Dockerfile alone. */
export function listStages(options: BuildOptions): Promise<TargetList> {
  return withoutBases(options, (file, lowered) => ({
    source: file.source,
    targets: listTargets(file, lowered.globals),
  }));
}

function withoutBases<T>(
  options: BuildOptions,
  make: (file: ParsedDockerfile, lowered: LowerResult) => T,
): Promise<T> {
  return withSession(options, async (session) => {
    await using contexts = await openContexts(options, session, () => session.store.tempDir());
    const file = parseDockerfile(await contexts.main.dockerfile());
    const given = lowerOptions(options, session.env, contexts.named);
    const lowered = await lower(file, {
      ...given,
      // Findings are what `check` tells.
      buildArgs: { ...given.buildArgs, BUILDKIT_DOCKERFILE_CHECK: 'skip=all' },
      resolveImage: (reference, platform) => Promise.resolve(unknownImage(reference, platform)),
    });
    return make(file, lowered);
  });
}

/** Stands for a base image that nobody looks at. */
export function unknownImage(reference: string, platform: Platform): ResolvedImage {
  const { os, architecture } = platform;
  const config = { os, architecture, rootfs: { type: 'layers' as const, diff_ids: [] } };
  return { reference, digest: digestOfJson(reference), platform, config, unseen: true };
}
