import type { Descriptor } from '../oci/descriptor.ts';
import { isIndexType, isManifestType } from '../oci/media-type.ts';
import type { Platform } from '../oci/platform.ts';
import { normalizePlatform } from '../oci/platform.ts';

/**
 * Which manifest of an index is for a platform (R-PULL-2): the same variant, else the highest lower one that its CPU runs too
 * (arm/v7 runs v6, amd64/v3 runs v2). Attestations (`unknown/unknown`) are no candidates. A single manifest that does not say
 * its platform is taken: its config tells. undefined when there is none.
 */
export function selectPlatform(manifests: readonly Descriptor[], wanted: Platform): Descriptor | undefined {
  const candidates = manifests.filter(isImage);
  const target = normalizePlatform(wanted);
  for (const variant of runnableVariants(target)) {
    const found = candidates.find(({ platform }) => {
      if (platform === undefined) return false;
      const normal = normalizePlatform(platform);
      return (
        normal.os === target.os && normal.architecture === target.architecture && normal.variant === variant
      );
    });
    if (found !== undefined) return found;
  }
  const [only, ...others] = candidates;
  return only?.platform === undefined && others.length === 0 ? only : undefined;
}

function isImage(descriptor: Descriptor): boolean {
  const { mediaType, platform, annotations } = descriptor;
  return (
    (isManifestType(mediaType) || isIndexType(mediaType)) &&
    platform?.os !== 'unknown' &&
    annotations?.['vnd.docker.reference.type'] === undefined
  );
}

/** From the wanted variant downwards; normal form leaves the lowest of amd64 and the usual one of arm64 without a name. */
function runnableVariants({ architecture, variant }: Platform): (string | undefined)[] {
  const number = Number(/^v(\d+)$/.exec(variant ?? '')?.[1]);
  if (Number.isNaN(number)) return [variant];
  const lowest = architecture === 'arm' ? 5 : 2;
  const variants: (string | undefined)[] = [];
  if (architecture === 'arm' || architecture === 'amd64') {
    for (let lower = Math.min(number, 99); lower >= lowest; lower -= 1) variants.push(`v${lower}`);
  } else {
    variants.push(variant);
  }
  return architecture === 'arm' ? variants : [...variants, undefined];
}
