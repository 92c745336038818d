import { decodeDocument, manifestLimit } from '../oci/decode.ts';
import type { Document } from '../oci/decode.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestOf, isDigest } from '../oci/digest.ts';
import { isIndexType, isManifestType, mediaType } from '../oci/media-type.ts';
import { BuildError } from '../util/build-error.ts';
import type { Access } from './auth.ts';
import type { CallOptions, Endpoint } from './client.ts';
import type { RegistryTask } from './errors.ts';
import { nextPage } from './next-page.ts';
import type { RegistryRequest, SessionResponse } from './session.ts';

/** A manifest or index as it was sent: the bytes decide, the document is a view of them. */
export interface FetchedManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly document: Document;
}

export interface ManifestToPut {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

// R-PULL-1. Schema 1 is not asked for; a registry that has nothing else is told apart by its answer.
const accept = [
  mediaType.ociIndex,
  mediaType.ociManifest,
  mediaType.dockerList,
  mediaType.dockerManifest,
].join(', ');

export async function headManifest(
  endpoint: Endpoint,
  tag: string,
  options: CallOptions,
): Promise<Descriptor | undefined> {
  const response = await request(endpoint, tag, {
    method: 'HEAD',
    expect: [200, 404, 405],
    signal: options.signal,
  });
  await response.discard();
  if (response.status === 404) return undefined;
  const type = response.header('content-type')?.split(';')[0]?.trim().toLowerCase() ?? '';
  const digest = response.header('docker-content-digest') ?? '';
  const size = Number(response.header('content-length') ?? Number.NaN);
  const complete = isDigest(digest) && Number.isSafeInteger(size) && size > 0;
  if (response.status === 405 || !complete || !(isIndexType(type) || isManifestType(type))) {
    return (await getManifest(endpoint, tag, options)).descriptor;
  }
  if (isDigest(tag) && digest !== tag) throw mismatch(endpoint, tag, digest);
  return { mediaType: type, digest, size };
}

export async function getManifest(
  endpoint: Endpoint,
  tag: string,
  options: CallOptions,
): Promise<FetchedManifest> {
  const response = await request(endpoint, tag, { method: 'GET', expect: [200], signal: options.signal });
  const bytes = await response.bytes(manifestLimit);
  const digest = digestOf(bytes);
  // Of the two, the digest that the user named decides; the header is a second witness.
  if (isDigest(tag) && digest !== tag) throw mismatch(endpoint, tag, digest);
  const claimed = response.header('docker-content-digest');
  if (claimed !== undefined && isDigest(claimed) && claimed !== digest)
    throw mismatch(endpoint, claimed, digest);
  const document = decodeDocument(bytes, response.header('content-type'));
  return { descriptor: { mediaType: document.mediaType, digest, size: bytes.length }, bytes, document };
}

export async function putManifest(
  endpoint: Endpoint,
  manifest: ManifestToPut & { readonly tag: string },
  options: CallOptions,
): Promise<{ readonly subject: boolean }> {
  const { tag, bytes } = manifest;
  const response = await endpoint.session.send({
    method: 'PUT',
    target: path(endpoint, tag),
    headers: { 'content-type': manifest.mediaType },
    body: bytes,
    access: accessTo(endpoint, 'push', { subject: name(endpoint, tag) }),
    expect: [200, 201, 202],
    signal: options.signal,
  });
  await response.discard();
  const digest = digestOf(bytes);
  const stored = response.header('docker-content-digest');
  if (stored !== undefined && isDigest(stored) && stored !== digest) throw mismatch(endpoint, digest, stored);
  return { subject: response.header('oci-subject') !== undefined };
}

/**
 * Takes a tag away, or by digest a manifest with every tag that names it (distribution-spec, "Deleting Manifests"). Many registries do the latter
 * alone: a tag is then left alone, because others may name the same.
 */
export async function deleteManifest(endpoint: Endpoint, tag: string, options: CallOptions): Promise<void> {
  const subject = name(endpoint, tag);
  const response = await endpoint.session.send({
    method: 'DELETE',
    target: path(endpoint, tag),
    access: accessTo(endpoint, 'push', { subject }),
    expect: [200, 202, 400, 404, 405],
    signal: options.signal,
  });
  const { status } = response;
  await response.discard();
  if (status === 200 || status === 202) return;
  if (status === 404) throw new BuildError('IMAGE_NOT_FOUND', `${subject} is not in its registry`);
  throw new BuildError(
    'REGISTRY_ERROR',
    `${endpoint.session.name} does not delete ${isDigest(tag) ? 'manifests' : 'tags'}: ${subject} was not deleted`,
    {
      hint: isDigest(tag)
        ? 'some registries delete only where their configuration allows it'
        : `name it by its digest (\`tsbuild digest ${subject}\`): then it goes with all its tags`,
      details: { status },
    },
  );
}

export async function listTags(endpoint: Endpoint, options: CallOptions): Promise<readonly string[]> {
  const tags = new Set<string>();
  let target: string | URL | undefined = endpointPath(endpoint, 'tags/list?n=1000');
  // Each page must bring something new, so a registry cannot keep us here; the number is a second fence.
  for (let page = 0; target !== undefined; page++) {
    if (page === mostPages || tags.size > mostTags)
      throw new BuildError('REGISTRY_ERROR', `the list of tags of ${endpoint.subject} has no end`);
    const response: SessionResponse = await endpoint.session.send({
      method: 'GET',
      target,
      access: accessTo(endpoint, 'tags', {}),
      expect: [200],
      readLimit: manifestLimit,
      signal: options.signal,
    });
    const bytes = await response.bytes(manifestLimit);
    const before = tags.size;
    for (const tag of readTags(bytes, endpoint)) tags.add(tag);
    target = tags.size > before ? nextPage(response) : undefined;
  }
  return [...tags];
}

const mostPages = 1000;
/** Some 150 MB. */
const mostTags = 1_000_000;

function readTags(bytes: Uint8Array, endpoint: Endpoint): readonly string[] {
  let value: { tags?: unknown } | null;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8')) as { tags?: unknown } | null;
  } catch {
    value = {};
  }
  const list = value?.tags === null ? [] : value?.tags;
  if (
    !Array.isArray(list) ||
    !list.every((tag) => typeof tag === 'string' && /^\w[\w.-]{0,127}$/.test(tag))
  ) {
    throw new BuildError('REGISTRY_ERROR', `the registry gave no list of tags for ${endpoint.subject}`);
  }
  return list as readonly string[];
}

/** Below the repository: `blobs/<digest>`, perhaps with a query. */
export function endpointPath(endpoint: Endpoint, rest: string): string {
  const namespace = endpoint.namespace;
  const query = namespace === undefined ? '' : `${rest.includes('?') ? '&' : '?'}ns=${namespace}`;
  return `${endpoint.root}/${endpoint.repository}/${rest}${query}`;
}

/** Who wants what, for tokens and for messages. */
export function accessTo(
  endpoint: Endpoint,
  kind: RegistryTask['kind'],
  more: { readonly subject?: string; readonly alsoRead?: string | undefined },
): Access {
  const { repository, session, subject } = endpoint;
  const own = `repository:${repository}:${kind === 'push' ? 'pull,push' : 'pull'}`;
  const other = more.alsoRead === undefined ? [] : [`repository:${more.alsoRead}:pull`];
  return {
    repository,
    scopes: [own, ...other],
    task: { registry: session.name, subject: more.subject ?? subject, kind },
  };
}

async function request(
  endpoint: Endpoint,
  tag: string,
  call: Pick<RegistryRequest, 'method' | 'expect' | 'signal'>,
): Promise<SessionResponse> {
  return endpoint.session.send({
    ...call,
    target: path(endpoint, tag),
    headers: { accept },
    access: accessTo(endpoint, 'manifest', { subject: name(endpoint, tag) }),
    ...(call.method === 'GET' ? { readLimit: manifestLimit } : {}),
  });
}

function path(endpoint: Endpoint, tag: string): string {
  if (!isDigest(tag) && !/^\w[\w.-]{0,127}$/.test(tag)) {
    throw new BuildError('REFERENCE_INVALID', `\`${tag.slice(0, 100)}\` is neither a tag nor a digest`);
  }
  return endpointPath(endpoint, `manifests/${tag}`);
}

function name(endpoint: Endpoint, tag: string): string {
  return `${endpoint.subject}${isDigest(tag) ? '@' : ':'}${tag}`;
}

function mismatch(endpoint: Endpoint, wanted: string, got: string): BuildError {
  return new BuildError(
    'CHECKSUM_MISMATCH',
    `the registry ${endpoint.session.name} gave another document for ${endpoint.subject} than its digest says: ${wanted} was expected, ${got} came`,
  );
}
