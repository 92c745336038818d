import { selectPlatform } from '../image/select-platform.ts';
import type { Platform } from '../oci/platform.ts';
import type { Reference } from '../oci/reference.ts';
import { familiarReference } from '../oci/reference.ts';
import type { RegistryClient } from '../registry/client.ts';
import { BuildError } from '../util/build-error.ts';
import type { CachePlace } from './place.ts';
import { cacheConfigType } from './remote-format.ts';

/** A cache in a registry (KB-2), or an image with one in its config (KB-1): of an index of images, that of the platform. */
export function registryPlace(
  connect: () => Promise<RegistryClient>,
  reference: Reference,
  platform: Platform,
): CachePlace {
  const tag = reference.digest ?? reference.tag ?? 'latest';
  return {
    name: `registry cache ${familiarReference(reference)}`,
    repository: { registry: reference.registry, repository: reference.repository },
    readManifest: async (call) => {
      const client = await connect();
      try {
        const found = await client.getManifest(reference, tag, call);
        const { document } = found;
        const isCache =
          document.kind === 'manifest' ||
          document.index.manifests.some(({ mediaType }) => mediaType === cacheConfigType);
        const chosen = isCache ? undefined : selectPlatform(document.index.manifests, platform);
        const { bytes, descriptor } =
          chosen === undefined ? found : await client.getManifest(reference, chosen.digest, call);
        return { bytes, mediaType: descriptor.mediaType };
      } catch (error) {
        if (error instanceof BuildError && error.code === 'IMAGE_NOT_FOUND') return undefined;
        throw error;
      }
    },
    openBlob: async function* (blob, options) {
      yield* (await connect()).getBlob(reference, blob, options);
    },
    keepBlob: async (blob, call) => {
      await (await connect()).uploadBlob(reference, blob, call);
    },
    putManifest: async (manifest, call) => {
      await (await connect()).putManifest(reference, tag, manifest, call);
    },
  };
}
