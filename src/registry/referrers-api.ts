import { decodeIndex, manifestLimit } from '../oci/decode.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { mediaType } from '../oci/media-type.ts';
import { BuildError } from '../util/build-error.ts';
import type { CallOptions, Endpoint } from './client.ts';
import { accessTo, endpointPath } from './manifest.ts';
import { nextPage } from './next-page.ts';
import type { SessionResponse } from './session.ts';

const mostPages = 100;
/** As much as all pages together may have; bytes. */
const mostBytes = 32 * 1024 * 1024;

/**
 * `GET /v2/<name>/referrers/<digest>` (distribution-spec, "Listing Referrers"), all pages; undefined where the registry does not know the
 * call. A page elsewhere than at the registry itself is not asked for. Errors: IMAGE_INVALID, REGISTRY_*.
 */
export async function getReferrers(
  endpoint: Endpoint,
  digest: Digest,
  options: CallOptions & { readonly artifactType?: string | undefined },
): Promise<readonly Descriptor[] | undefined> {
  const { artifactType, signal } = options;
  const query = artifactType === undefined ? '' : `?artifactType=${encodeURIComponent(artifactType)}`;
  let target: string | URL | undefined = endpointPath(endpoint, `referrers/${digest}${query}`);
  const found: Descriptor[] = [];
  let size = 0;
  for (let page = 0; target !== undefined && page < mostPages; page += 1) {
    const response: SessionResponse = await endpoint.session.send({
      method: 'GET',
      target,
      headers: { accept: mediaType.ociIndex },
      access: accessTo(endpoint, 'manifest', { subject: `the referrers of ${endpoint.subject}@${digest}` }),
      expect: [200, 404, 405],
      readLimit: manifestLimit,
      signal,
    });
    const type = response.header('content-type')?.split(';')[0]?.trim();
    if (response.status !== 200 || type !== mediaType.ociIndex) return page === 0 ? undefined : found;
    const bytes = await response.bytes(manifestLimit);
    size += bytes.length;
    if (size > mostBytes)
      throw new BuildError('REGISTRY_ERROR', `the list of referrers of ${endpoint.subject} has no end`);
    const { manifests } = decodeIndex(bytes, type);
    found.push(...manifests);
    target = manifests.length > 0 ? nextPage(response) : undefined;
  }
  return found;
}
