import { writeTar } from '../image/tar.ts';
import type { Exporter } from './exporter.ts';
import type { OutputTarget } from './output-file.ts';
import { writeOutput } from './output-file.ts';
import { flattened } from './to-directory.ts';

/** `type=tar`: the flattened files of the result in one tar, owners and devices included. */
export function tarExporter(target: OutputTarget): Exporter {
  return {
    name: 'exporting to tar',
    export: async (result, context) => {
      await writeOutput(target, writeTar(flattened(result)), context.signal);
      return undefined;
    },
  };
}
