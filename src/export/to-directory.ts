import { applyEntries } from '../image/apply.ts';
import type { Entry } from '../image/entry.ts';
import { layerTree } from '../image/layer-tree.ts';
import { BuildError } from '../util/build-error.ts';
import type { Exporter, ExportResult } from './exporter.ts';
import { makeDirectories } from '../util/make-directories.ts';
import { outputError, writeError } from '../util/system-error.ts';

/**
 * `type=local`: the files of the result in a directory, owned by the caller. What is there already stays, files of the same name are
 * replaced. Devices are left out.
 */
export function directoryExporter(destination: string): Exporter {
  return {
    name: `exporting to directory ${destination}`,
    export: async (result) => {
      try {
        makeDirectories(destination);
        await applyEntries(ordinaryFiles(result), destination, { form: 'plain', owners: 'ignore' });
      } catch (error) {
        // The disk of the output, not of the store, which layers may come into meanwhile.
        const isOutput = error instanceof BuildError && error.details['directory'] === destination;
        throw isOutput ? writeError(destination, error.cause) : outputError(error, destination);
      }
      return undefined;
    },
  };
}

/** Every file of the flattened image, parents first. */
export async function* flattened(result: ExportResult): AsyncGenerator<Entry> {
  const image = result.images[0];
  if (image === undefined || result.images.length > 1) {
    throw new BuildError('UNSUPPORTED_HERE', 'files can be exported of one platform only');
  }
  for await (const entry of layerTree(image.layers).walk('')) if (entry.path !== '') yield entry;
}

async function* ordinaryFiles(result: ExportResult): AsyncGenerator<Entry> {
  for await (const entry of flattened(result)) {
    if (entry.type !== 'char' && entry.type !== 'block' && entry.type !== 'fifo') yield entry;
  }
}
