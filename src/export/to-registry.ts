import pLimit from 'p-limit';
import type { Image } from '../image/image.ts';
import type { Layer } from '../image/layer.ts';
import type { StoredLayer } from '../image/layer-store.ts';
import type { Digest } from '../oci/digest.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Reference } from '../oci/reference.ts';
import { parseReference } from '../oci/reference.ts';
import type { RegistryClient, Repository } from '../registry/client.ts';
import { pushImage } from '../registry/push.ts';
import type { ExportContext, Exporter, PlatformImage } from './exporter.ts';

/**
 * Pushes the image under each of its names (R-PUSH-1), to each repository once whatever its number of tags. Layers that came from a
 * repository of the same registry are mounted, also from the first repository that was pushed to; base layers that are not here stream
 * through without being stored.
 * @param origins By diffId: where base layers came from.
 */
export function registryExporter(client: RegistryClient, origins: ReadonlyMap<Digest, Repository>): Exporter {
  return {
    name: 'pushing to the registry',
    export: async (result, context) => {
      const mountFrom = new Map<Digest, Repository>();
      for (const layer of result.images.flatMap((image) => image.layers)) {
        const origin = origins.get(layer.knownDiffId);
        if (origin !== undefined) mountFrom.set(await layer.digest(), origin);
      }
      const pushed = new Map<string, Repository>();
      let descriptor: Descriptor | undefined;
      for (const [reference, ...others] of byRepository(context.names)) {
        const { registry } = reference;
        descriptor = await pushImage(client, {
          images: result.images.map((image) => inTransit(image)),
          reference,
          tags: others.flatMap(({ tag }) => tag ?? []),
          mountFrom: (digest) => {
            const origin = mountFrom.get(digest);
            return origin?.registry === registry ? origin : pushed.get(registry);
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

/**
 * Sends new layers while their blobs are made: compressing, hashing and sending overlap. It only saves time: what fails
 * here is sent by the push, which finds the rest there. Resolves when all have ended.
 */
export async function sendNewLayers(
  client: RegistryClient,
  to: { readonly name: string; readonly layers: Iterable<StoredLayer> },
  { signal, emit, id }: Pick<ExportContext, 'signal' | 'emit' | 'id'>,
): Promise<void> {
  const repository = parseReference(to.name);
  // Each compresses with all the cores that there are.
  const limit = pLimit(2);
  await Promise.all(
    [...to.layers].map((layer) =>
      limit(async () => {
        const name = `sending ${layer.knownDiffId.slice(7, 19)}`;
        let shown = 0;
        const onProgress = (current: number): void => {
          // One event per MiB is enough for any renderer.
          if (Math.abs(current - shown) < 1024 * 1024) return;
          shown = current;
          emit({ type: 'transfer', id, name, current, done: false, time: Date.now() });
        };
        try {
          const { size } = await client.uploadStream(repository, () => layer.transit({ signal }), {
            signal,
            onProgress,
          });
          emit({ type: 'transfer', id, name, current: size, total: size, done: true, time: Date.now() });
        } catch {
          // The push says what is wrong, when it meets it again.
        }
      }),
    ),
  );
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
