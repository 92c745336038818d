import { dockerArchiveEntries } from '../image/docker-archive.ts';
import { layoutEntries } from '../image/oci-layout.ts';
import { writeTar } from '../image/tar.ts';
import type { Exporter } from './exporter.ts';
import type { OutputTarget } from './output-file.ts';
import { writeOutput } from './output-file.ts';

/**
 * `type=oci`: an OCI image layout in a tar. `type=docker`: the form of `docker save`, which is a valid OCI layout too. Both are
 * deterministic: sorted, and every time is the epoch.
 */
export function archiveExporter(type: 'oci' | 'docker', target: OutputTarget): Exporter {
  return {
    name: `exporting to ${type} archive`,
    export: async (result, context) => {
      const images = result.images.map(({ image }) => ({ image, names: context.names }));
      const entries = type === 'oci' ? layoutEntries(images) : dockerArchiveEntries(images);
      await writeOutput(target, writeTar(entries), context.signal);
      return result.images[0]?.image.descriptor();
    },
  };
}
