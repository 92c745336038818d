import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { writeLayout } from '../image/oci-layout.ts';
import type { Exporter } from './exporter.ts';
import { outputError } from '../util/system-error.ts';

/** `tar=false`: an OCI image layout as a directory. An existing layout keeps its other images. */
export function layoutExporter(directory: string): Exporter {
  return {
    name: `exporting to OCI layout ${directory}`,
    export: async (result, context) => {
      const existed = existsSync(directory);
      try {
        await writeLayout(
          directory,
          result.images.map(({ image }) => ({ image, names: context.names })),
          context.signal,
        );
      } catch (error) {
        // What could not be written counts, not what could not be removed.
        if (!existed) await rm(directory, { recursive: true, force: true }).catch(() => undefined);
        throw outputError(error, directory);
      }
      return result.images[0]?.image.descriptor();
    },
  };
}
