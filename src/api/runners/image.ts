import type { ImageOp } from '../../graph/op.ts';
import { digestOfJson } from '../../oci/digest.ts';
import type { OpRunner } from '../../solver/runner.ts';
import type { BaseImages } from '../base-images.ts';
import type { StepOutcome } from '../result.ts';
import { describeImage } from './describe.ts';

/** A base image: keyed by its manifest alone (K-1). Nothing is downloaded until something reads a layer. */
export function imageRunner(bases: BaseImages): OpRunner<StepOutcome, ImageOp> {
  return {
    cacheKey: (op) => Promise.resolve(digestOfJson({ image: op.digest })),
    describe: describeImage,
    run: async (op) => {
      const layers = await bases.layers(op.reference, op.digest);
      return { kind: 'layers', layers: layers.map((layer) => ({ layer })) };
    },
  };
}
