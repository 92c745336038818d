import type { DocumentSource, DocumentTarget } from '../image/documents.ts';
import { isNondistributable } from '../oci/media-type.ts';
import type { Reference } from '../oci/reference.ts';
import { formatReference } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import type { RegistryClient } from './client.ts';
import { putDocument } from './referrers.ts';

/** What a registry has under a name. */
export function registrySource(
  client: RegistryClient,
  reference: Reference,
  signal: AbortSignal,
): DocumentSource {
  return {
    name: formatReference(reference),
    origin: { registry: reference.registry, repository: reference.repository },
    top: () => client.getManifest(reference, reference.digest ?? reference.tag ?? 'latest', { signal }),
    document: async (descriptor) => {
      const found = await client.getManifest(reference, descriptor.digest, { signal });
      return { ...found, descriptor: { ...descriptor, ...found.descriptor } };
    },
    blob: (descriptor, options) => client.getBlob(reference, descriptor, { signal, ...options }),
  };
}

/**
 * A registry that is written to: what it has is left alone, what another of its repositories has is mounted, all else is streamed. Layers
 * whose licence may forbid it stay where they are, unless the registry may have them (R-PULL-4).
 */
export function registryTarget(
  client: RegistryClient,
  reference: Reference,
  signal: AbortSignal,
): DocumentTarget {
  return {
    async blob(descriptor, open, origin) {
      if (isNondistributable(descriptor.mediaType) && !(await client.takesNondistributable(reference)))
        return;
      const { digest, size } = descriptor;
      const mountFrom = origin?.registry === reference.registry ? origin.repository : undefined;
      await client.uploadBlob(
        reference,
        { digest, size, open: () => open({ signal }), mountFrom },
        { signal },
      );
    },
    document: (raw) =>
      putDocument(client, { registry: reference.registry, repository: reference.repository }, raw, {
        signal,
      }),
    async finish(raw) {
      const { digest } = raw.descriptor;
      if (reference.digest !== undefined && reference.digest !== digest) {
        throw new BuildError(
          'REFERENCE_INVALID',
          `${formatReference(reference)} cannot be written: what is copied has the digest ${digest}`,
        );
      }
      await putDocument(client, reference, raw, { signal });
    },
  };
}
