import type { RawDocument } from '../image/documents.ts';
import { rawDocument } from '../image/documents.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOf } from '../oci/digest.ts';
import { mediaType } from '../oci/media-type.ts';
import { BuildError } from '../util/build-error.ts';
import type { CallOptions, RegistryClient, Repository } from './client.ts';

/** The tag that lists what refers to a digest, where a registry has no list of its own (R-REF-1). */
export function referrersTag(digest: Digest): string {
  return digest.replace(':', '-');
}

/** What refers to a digest, by the registry's list or by the fallback tag; of one artifact type, where that is given. */
export async function listReferrers(
  client: RegistryClient,
  subject: Repository & { readonly digest: Digest },
  options: CallOptions & { readonly artifactType?: string | undefined } = {},
): Promise<readonly Descriptor[]> {
  const { artifactType } = options;
  const all =
    (await client.getReferrers(subject, subject.digest, options)) ??
    (await fallbackIndex(client, subject, options)) ??
    [];
  const seen = new Map(all.map((item) => [item.digest, item]));
  return [...seen.values()].filter(
    (item) => artifactType === undefined || item.artifactType === artifactType,
  );
}

/**
 * Puts a manifest or index by its digest, or under `tag`. Where it has a subject and the registry does not list it by itself, the fallback
 * tag of the subject names it from now on. Two that do so at the same moment may lose one entry: the protocol has nothing against that.
 */
export async function putDocument(
  client: RegistryClient,
  to: Repository & { readonly tag?: string | undefined },
  raw: RawDocument,
  options: CallOptions = {},
): Promise<void> {
  const { bytes, descriptor, document } = raw;
  const target = to.tag ?? descriptor.digest;
  const stored = await client.putManifest(to, target, { mediaType: descriptor.mediaType, bytes }, options);
  const subject = document.kind === 'manifest' ? document.manifest.subject : undefined;
  if (subject === undefined || stored.subject) return;
  const known = (await fallbackIndex(client, { ...to, digest: subject.digest }, options)) ?? [];
  if (known.some(({ digest }) => digest === descriptor.digest)) return;
  const index = {
    schemaVersion: 2,
    mediaType: mediaType.ociIndex,
    manifests: [...known, referrerEntry(raw)],
  };
  const text = Buffer.from(JSON.stringify(index));
  await client.putManifest(
    to,
    referrersTag(subject.digest),
    { mediaType: mediaType.ociIndex, bytes: text },
    options,
  );
}

function referrerEntry({ descriptor, document }: RawDocument): Descriptor {
  const { digest, size } = descriptor;
  const annotations =
    document.kind === 'manifest' ? document.manifest.annotations : document.index.annotations;
  const artifactType =
    document.kind === 'manifest'
      ? (document.manifest.artifactType ?? document.manifest.config.mediaType)
      : document.index.artifactType;
  return {
    ...{ mediaType: descriptor.mediaType, digest, size },
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

async function fallbackIndex(
  client: RegistryClient,
  subject: Repository & { readonly digest: Digest },
  options: CallOptions,
): Promise<readonly Descriptor[] | undefined> {
  const tag = referrersTag(subject.digest);
  if ((await client.headManifest(subject, tag, options)) === undefined) return undefined;
  const { document } = await client.getManifest(subject, tag, options);
  if (document.kind === 'index') return document.index.manifests;
  throw new BuildError(
    'IMAGE_INVALID',
    `${subject.registry}/${subject.repository}:${tag} is no list of referrers`,
  );
}

export interface Artifact {
  readonly artifactType: string;
  /** At least one, or none at all: an artifact may be its annotations. */
  readonly blobs: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** What stands for an empty config or blob (image-spec, "Guidance for an Empty Descriptor"). */
export const emptyBlob: { readonly bytes: Uint8Array; readonly descriptor: Descriptor } = {
  bytes: Buffer.from('{}'),
  descriptor: { mediaType: mediaType.ociEmpty, digest: digestOf('{}'), size: 2 },
};

/** The manifest of an artifact that refers to `subject` (image-spec manifest.md, "Guidelines for Artifact Usage"). Same input, same bytes. */
export function artifactManifest(artifact: Artifact, subject: Descriptor): RawDocument {
  const { artifactType, blobs, annotations = {} } = artifact;
  const sorted = Object.entries(annotations).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaType.ociManifest,
      artifactType,
      config: emptyBlob.descriptor,
      layers: blobs.length === 0 ? [emptyBlob.descriptor] : blobs,
      subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
      ...(sorted.length === 0 ? {} : { annotations: Object.fromEntries(sorted) }),
    }),
  );
  return rawDocument(bytes, {
    mediaType: mediaType.ociManifest,
    digest: digestOf(bytes),
    size: bytes.length,
  });
}
