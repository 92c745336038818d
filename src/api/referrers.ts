import { accessSync, constants, createReadStream, statSync } from 'node:fs';
import { basename } from 'node:path';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { Reference } from '../oci/reference.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import type { RegistryClient } from '../registry/client.ts';
import {
  artifactManifest,
  emptyBlob,
  listReferrers as findReferrers,
  putDocument,
} from '../registry/referrers.ts';
import { BuildError } from '../util/build-error.ts';
import { streamOf } from '../util/streams.ts';
import { inWords } from '../util/system-error.ts';
import { internalStep } from './internal-step.ts';
import type { Session } from './session.ts';
import { withSession } from './session.ts';
import type { CommonOptions } from './types.ts';

export interface ReferrersOptions extends CommonOptions {
  /** A name in a registry, by tag or digest. */
  readonly image: string;
  readonly artifactType?: string | undefined;
}

/** What was attached to an image: signatures, SBOMs, attestations (R-REF-1). Errors: IMAGE_NOT_FOUND, REGISTRY_*. */
export function listReferrers(
  options: ReferrersOptions,
): Promise<{ readonly subject: Digest; readonly referrers: readonly Descriptor[] }> {
  return withSession(options, async (session) => {
    const client = await session.registry();
    const reference = parseReference(options.image);
    const { digest } = await subjectOf(client, reference, session);
    const { registry, repository } = reference;
    const referrers = await findReferrers(
      client,
      { registry, repository, digest },
      { signal: session.signal, artifactType: options.artifactType },
    );
    return { subject: digest, referrers };
  });
}

export interface AttachOptions extends CommonOptions {
  /** A name in a registry, by tag or digest. */
  readonly image: string;
  readonly artifactType: string;
  /** Files become blobs, with their name as title. None: the artifact is its annotations. */
  readonly files?: readonly { readonly path: string; readonly mediaType?: string | undefined }[] | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

// What is attached is small; anything larger is a mistake.
const largest = 512 * 1024 * 1024;

/** Pushes an artifact that refers to an image, so that `listReferrers` finds it. Errors: USAGE, IMAGE_NOT_FOUND, REGISTRY_*. */
export function attachArtifact(options: AttachOptions): Promise<Descriptor> {
  return withSession(options, async (session) => {
    if (!/^[\w.+-]+\/[\w.+-]+$/.test(options.artifactType))
      throw new BuildError('USAGE', `\`${options.artifactType}\` is no media type`);
    for (const { path } of options.files ?? []) checkFile(path);
    const client = await session.registry();
    const reference = parseReference(options.image);
    const subject = await subjectOf(client, reference, session);
    const name = `attaching to ${formatReference(reference)}`;
    return internalStep(session.emit, name, async () => {
      const blobs: Descriptor[] = [];
      for (const file of options.files ?? []) blobs.push(await pushFile(client, reference, file, session));
      const { bytes, descriptor: empty } = emptyBlob;
      const blob = { digest: empty.digest, size: empty.size, open: () => streamOf(bytes) };
      await client.uploadBlob(reference, blob, { signal: session.signal });
      const raw = artifactManifest({ ...options, blobs }, subject);
      const { registry, repository } = reference;
      await putDocument(client, { registry, repository }, raw, { signal: session.signal });
      return raw.descriptor;
    });
  });
}

function checkFile(path: string): void {
  const refuse = (why: string, cause?: unknown): BuildError =>
    new BuildError('USAGE', `cannot attach \`${path}\`: ${why}`, { cause });
  try {
    const stat = statSync(path);
    if (!stat.isFile() || stat.size > largest) throw refuse('it is no file of at most 512 MiB');
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw error instanceof BuildError ? error : refuse(inWords(error), error);
  }
}

// oxlint-disable-next-line max-params -- internal
async function pushFile(
  client: RegistryClient,
  reference: Reference,
  { path, mediaType = 'application/octet-stream' }: { path: string; mediaType?: string | undefined },
  { signal }: Session,
): Promise<Descriptor> {
  const { digest, size } = await client.uploadStream(reference, () => createReadStream(path), { signal });
  return { mediaType, digest, size, annotations: { 'org.opencontainers.image.title': basename(path) } };
}

async function subjectOf(
  client: RegistryClient,
  reference: Reference,
  { signal }: Session,
): Promise<Descriptor> {
  const tag = reference.digest ?? reference.tag ?? 'latest';
  const found = await client.headManifest(reference, tag, { signal });
  // The GET says why, in the registry's words.
  return found ?? (await client.getManifest(reference, tag, { signal })).descriptor;
}
