import { resolve } from 'node:path';
import type { Vertex } from '../graph/vertex.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOfJson } from '../oci/digest.ts';
import type { ExplainOptions } from '../solver/explainer.ts';
import type { Needle } from '../util/secret-needles.ts';
import type { BuildOptions } from './types.ts';

/**
 * What names one Dockerfile with its context across builds: where they are. Of streams and texts their absence of a name; so what comes through a
 * pipe is compared with what came through a pipe before. For explaining alone: no key has it.
 */
export function sourceOf({ context = '.', dockerfile }: BuildOptions): Digest {
  const isPlace = (text: string): boolean => text !== '-' && !/^[a-z+]+:\/\/|^git@/i.test(text);
  const name = (spec: unknown): string | null =>
    typeof spec === 'string' ? (isPlace(spec) ? resolve(spec) : spec) : null;
  return digestOfJson([
    name(context),
    dockerfile === undefined ? 'Dockerfile' : name(dockerfile),
    process.cwd(),
  ]);
}

/** Where a step stands in its Dockerfile, among its vertices of the same instruction. */
export function placeInFile({ meta, op }: Vertex): string | undefined {
  if (meta.place === undefined || meta.place === '') return undefined;
  return op.kind === 'image' || op.kind === 'merge' ? `${meta.place} ${op.kind}` : meta.place;
}

/** How the steps of a build are compared with those of others. */
export async function explaining(
  source: Digest,
  needles: readonly Needle[] | undefined,
): Promise<ExplainOptions> {
  return {
    placeOf: (vertex) => {
      const place = placeInFile(vertex);
      return place === undefined ? undefined : digestOfJson([source, place]).slice('sha256:'.length, 39);
    },
    ...(needles === undefined ? {} : { conceal: await concealer(needles) }),
  };
}

async function concealer(needles: readonly Needle[]): Promise<NonNullable<ExplainOptions['conceal']>> {
  const [{ SecretSearch }, { maskedData }] = await Promise.all([
    import('../util/secret-search.ts'),
    import('./masked.ts'),
  ]);
  const search = new SecretSearch(needles);
  return (components) => maskedData(components, search);
}
