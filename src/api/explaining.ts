import { join, resolve } from 'node:path';
import type { NearRecord } from '../graph/cache-store.ts';
import type { Vertex } from '../graph/vertex.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOfJson } from '../oci/digest.ts';
import { asNear } from '../cache/local.ts';
import type { ExplainOptions } from '../solver/explainer.ts';
import { stepId } from '../solver/explainer.ts';
import type { Store } from '../store/store.ts';
import type { Needle } from '../util/secret-needles.ts';
import { listBuildFiles, readBuildFile, shortSource } from './history/build-files.ts';
import type { BuildOptions } from './types.ts';

/**
 * What names one Dockerfile with its context across builds: where they are. What comes through a pipe is compared with what came so before, in the
 * same directory. For explaining alone: no key has it.
 */
export function sourceOf({ context = '.', dockerfile }: BuildOptions): Digest {
  const name = (spec: unknown): string | undefined =>
    typeof spec !== 'string' || spec === '-' ? undefined : isUrl(spec) ? spec : resolve(spec);
  const place = name(context);
  const usual = place === undefined || isUrl(place) ? 'Dockerfile' : join(place, 'Dockerfile');
  const file = dockerfile === undefined ? usual : name(dockerfile);
  // Without any name it is at least of this directory.
  return digestOfJson([place ?? resolve('.'), file ?? '-']);
}

/** Whether a context or Dockerfile is no path of this machine. */
export function isUrl(text: string): boolean {
  return /^[a-z+]+:\/\/|^git@/i.test(text);
}

/** Where a step stands in its Dockerfile, among its vertices of the same instruction. */
export function placeInFile({ meta, op }: Vertex): string | undefined {
  if (meta.place === undefined || meta.place === '') return undefined;
  return op.kind === 'image' || op.kind === 'merge' ? `${meta.place} ${op.kind}` : meta.place;
}

/** How the steps of a build are compared with those of others. */
export async function explaining(
  source: Digest,
  about: {
    readonly needles: readonly Needle[] | undefined;
    readonly store: Pick<Store, 'root' | 'state'>;
    readonly buildId: string | undefined;
  },
): Promise<ExplainOptions> {
  const { needles, store, buildId } = about;
  let last: ReturnType<typeof lastRecords> | undefined;
  return {
    previous: (vertex, op) => {
      last ??= lastRecords(store, lastKeys(store.root, shortSource(source), buildId));
      const place = placeInFile(vertex);
      return {
        here: place === undefined ? undefined : last.byPlace.get(place),
        sameOp: last.byStep.get(stepId(op, vertex.meta.name)),
      };
    },
    placeOf: (vertex) => {
      const place = placeInFile(vertex);
      return place === undefined ? undefined : digestOfJson([source, place]).slice('sha256:'.length, 39);
    },
    ...(needles === undefined ? {} : { conceal: await concealer(needles) }),
  };
}

/** The cache keys of the last build of this Dockerfile that got far enough to have any, by place. */
function lastKeys(root: string, source: string, except: string | undefined): ReadonlyMap<string, Digest> {
  for (const file of listBuildFiles(root)) {
    if (file.source !== source || file.id === except) continue;
    const pairs = (readBuildFile(file)?.steps ?? []).flatMap(({ place, key }) =>
      place === undefined || key === undefined ? [] : [[place, key] as const],
    );
    if (pairs.length > 0) return new Map(pairs);
  }
  return new Map();
}

function lastRecords(
  { state }: Pick<Store, 'state'>,
  keys: ReadonlyMap<string, Digest>,
): { readonly byPlace: ReadonlyMap<string, NearRecord>; readonly byStep: ReadonlyMap<string, NearRecord> } {
  const byPlace = new Map<string, NearRecord>();
  const byStep = new Map<string, NearRecord>();
  for (const [place, key] of keys) {
    const record = state.cacheRecord(key);
    if (record === undefined) continue;
    const near = asNear(record, state);
    byPlace.set(place, near);
    byStep.set(stepId(record.opKey, record.name), near);
  }
  return { byPlace, byStep };
}

async function concealer(needles: readonly Needle[]): Promise<NonNullable<ExplainOptions['conceal']>> {
  const [{ SecretSearch }, { maskedData }] = await Promise.all([
    import('../util/secret-search.ts'),
    import('./masked.ts'),
  ]);
  const search = new SecretSearch(needles);
  return (components) => maskedData(components, search);
}
