import type { Image } from '../image/image.ts';
import type { Layer } from '../image/layer.ts';
import type { Digest } from '../oci/digest.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Reference } from '../oci/reference.ts';
import { parseReference } from '../oci/reference.ts';
import type { RegistryClient, Repository } from '../registry/client.ts';
import { pushImage } from '../registry/push.ts';
import type { EarlyLayers } from './early-layers.ts';
import type { Exporter, PlatformImage } from './exporter.ts';

/**
 * Pushes the image under each of its names (R-PUSH-1), to each repository once whatever its number of tags. Layers that came from a
 * repository of the same registry are mounted, also from the first repository that was pushed to; base layers that are not here stream
 * through without being stored.
 * @param from.origins By diffId: where base layers came from.
 * @param from.early What is on its way to a repository already.
 */
export function registryExporter(
  client: RegistryClient,
  from: {
    readonly origins: ReadonlyMap<Digest, Repository>;
    readonly early: (to: Repository) => EarlyLayers | undefined;
  },
): Exporter {
  return {
    name: 'pushing to the registry',
    export: async (result, context) => {
      const mountFrom = new Map<Digest, Repository>();
      const diffIds = new Map<Digest, Digest>();
      for (const layer of result.images.flatMap((image) => image.layers)) {
        const origin = from.origins.get(layer.knownDiffId);
        if (origin !== undefined) mountFrom.set(await layer.digest(), origin);
        diffIds.set(await layer.digest(), layer.knownDiffId);
      }
      const pushed = new Map<string, Repository>();
      let descriptor: Descriptor | undefined;
      for (const [reference, ...others] of byRepository(context.names)) {
        const { registry } = reference;
        const early = from.early(reference);
        void early?.finish();
        descriptor = await pushImage(client, {
          images: result.images.map((image) => inTransit(image)),
          reference,
          tags: others.flatMap(({ tag }) => tag ?? []),
          mountFrom: (digest) => {
            const origin = mountFrom.get(digest);
            return origin?.registry === registry ? origin : pushed.get(registry);
          },
          underway: (digest) => {
            const diffId = diffIds.get(digest);
            return diffId === undefined ? undefined : early?.takeOver(diffId);
          },
          signal: context.signal,
          emit: context.emit,
          id: context.id,
        });
        if (!pushed.has(registry)) pushed.set(registry, reference);
      }
      return descriptor;
    },
  };
}

/** In the order of the names; each list is not empty. */
function byRepository(names: readonly string[]): readonly (readonly [Reference, ...Reference[]])[] {
  const groups = new Map<string, [Reference, ...Reference[]]>();
  for (const name of names) {
    const reference = parseReference(name);
    const key = `${reference.registry}/${reference.repository}@${reference.digest ?? ''}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [reference]);
    else group.push(reference);
  }
  return [...groups.values()];
}

/** The same image, whose layers are handed on rather than fetched into the store first. */
function inTransit({ image, layers }: PlatformImage): Image {
  const passing = layers.map((layer): Layer => ({
    ...layer,
    compressed: (options) => layer.transit(options),
  }));
  return { ...image, layers: () => Promise.resolve(passing) };
}
