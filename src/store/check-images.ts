import { lstatSync, readFileSync } from 'node:fs';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { isIndexType, isManifestType } from '../oci/media-type.ts';
import type { Store } from './store.ts';

type Blobs = Pick<Store, 'blobs'>;
const manifestLimit = 8 * 1024 * 1024;
const deepest = 4;

/** Whether a blob is there with the size that it should have, and is not one of the damaged ones. */
export function isWhole(
  { blobs }: Blobs,
  bad: ReadonlySet<Digest>,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
): boolean {
  return blobs.size(digest) === size && !bad.has(digest);
}

/** What an image lacks. Of an index variants may be missing, as long as one is whole. */
export function missingPart(
  store: Blobs,
  bad: ReadonlySet<Digest>,
  descriptor: Descriptor,
  depth = 0,
): string | undefined {
  const { digest, mediaType } = descriptor;
  if (!isWhole(store, bad, descriptor)) return digest;
  if (depth > deepest || (!isIndexType(mediaType) && !isManifestType(mediaType))) return undefined;
  const parsed = readManifest(store, digest);
  if (parsed === undefined) return `${digest}, which is no manifest`;
  if (!isIndexType(mediaType)) {
    const parts = [parsed.config, ...(parsed.layers ?? [])];
    return parts.find((part) => part !== undefined && part.urls === undefined && !isWhole(store, bad, part))
      ?.digest;
  }
  let missing: string | undefined;
  for (const child of parsed.manifests ?? []) {
    const lack = missingPart(store, bad, child, depth + 1);
    if (lack === undefined) return undefined;
    missing ??= lack;
  }
  return missing;
}

/** The descriptor of a blob that is the manifest of a whole image; none for any other. */
export function wholeImage(store: Blobs, bad: ReadonlySet<Digest>, digest: Digest): readonly Descriptor[] {
  const size = store.blobs.size(digest);
  const mediaType = readManifest(store, digest)?.mediaType;
  if (size === undefined || typeof mediaType !== 'string' || !isManifestType(mediaType)) return [];
  const descriptor = { mediaType, digest, size };
  return missingPart(store, bad, descriptor) === undefined ? [descriptor] : [];
}

interface ParsedManifest {
  readonly mediaType?: unknown;
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
  readonly manifests?: readonly Descriptor[];
}

/** undefined for what is no JSON object. */
function readManifest({ blobs }: Blobs, digest: Digest): ParsedManifest | undefined {
  try {
    const path = blobs.path(digest);
    if (lstatSync(path).size > manifestLimit) return undefined;
    const bytes = readFileSync(path);
    return bytes[0] === 0x7b ? (JSON.parse(bytes.toString()) as ParsedManifest) : undefined;
  } catch {
    return undefined;
  }
}
