import type { Digest } from '../oci/digest.ts';
import { parseReference } from '../oci/reference.ts';
import type { RegistryClient } from '../registry/client.ts';
import { pushImage } from '../registry/push.ts';
import type { Exporter } from './exporter.ts';

/**
 * Pushes the image under each of its names (R-PUSH-1). Layers that came from a repository of the same registry are mounted; base layers
 * that are not here stream through without being stored.
 * @param origins By diffId: where base layers came from.
 */
export function registryExporter(
  client: RegistryClient,
  origins: ReadonlyMap<Digest, { readonly registry: string; readonly repository: string }>,
): Exporter {
  return {
    name: 'pushing to the registry',
    export: async (result, context) => {
      const mountFrom = new Map<Digest, { readonly registry: string; readonly repository: string }>();
      for (const layer of result.images.flatMap((image) => image.layers)) {
        const origin = origins.get(layer.knownDiffId);
        if (origin !== undefined) mountFrom.set(await layer.digest(), origin);
      }
      let descriptor;
      for (const name of context.names) {
        descriptor = await pushImage(client, {
          images: result.images.map(({ image }) => image),
          reference: parseReference(name),
          mountFrom: (digest) => mountFrom.get(digest),
          signal: context.signal,
          emit: context.emit,
          id: context.id,
        });
      }
      return descriptor;
    },
  };
}
