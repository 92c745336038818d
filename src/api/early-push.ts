import { EarlyLayers } from '../export/early-layers.ts';
import type { Definition } from '../graph/definition.ts';
import type { Vertex } from '../graph/vertex.ts';
import type { Digest } from '../oci/digest.ts';
import { parseReference } from '../oci/reference.ts';
import type { RegistryClient, Repository } from '../registry/client.ts';
import type { ExportRequest } from './export-all.ts';
import { isPushed, namesOf, registryOf } from './export-all.ts';
import type { PreparedBuild } from './prepare-build.ts';
import type { ResultLayer, StepOutcome } from './result.ts';
import { layersOf } from './result.ts';

/**
 * Sends layers of the image to the registries that it will be pushed to as soon as their steps are done: while later steps run. What has not
 * been searched for secrets yet stays here. Dispose it after the build.
 */
export class EarlyPush implements AsyncDisposable {
  readonly #prepared: PreparedBuild;
  readonly #to: ReadonlyMap<string, EarlyLayers>;
  readonly #chain: ReadonlyMap<Digest, Above>;
  readonly #readByOutputs: boolean;

  private constructor(
    prepared: PreparedBuild,
    { to, readByOutputs }: { to: ReadonlyMap<string, EarlyLayers>; readByOutputs: boolean },
  ) {
    const { definition } = prepared.plan.lowered;
    this.#prepared = prepared;
    this.#to = to;
    this.#chain = imageChain(definition);
    this.#readByOutputs = readByOutputs;
  }

  /** Asks nobody yet. To one repository of each registry: the others mount from it. */
  static async open(
    prepared: PreparedBuild,
    request: Pick<ExportRequest, 'options' | 'outputs' | 'session'>,
  ): Promise<EarlyPush> {
    const { outputs, session, options } = request;
    const to = new Map<string, EarlyLayers>();
    const registries = new Set<string>();
    for (const output of outputs.filter(isPushed)) {
      let client: RegistryClient | undefined;
      for (const name of namesOf(options, output)) {
        const reference = parseReference(name);
        if (registries.has(reference.registry)) continue;
        registries.add(reference.registry);
        client ??= await registryOf(output, request);
        to.set(keyOf(reference), new EarlyLayers(client, reference, session));
      }
    }
    const kept = outputs.some(({ type }) => type !== 'registry' && type !== 'cacheonly');
    const readByOutputs = kept || (options.load !== undefined && options.load !== false);
    return new EarlyPush(prepared, { to, readByOutputs });
  }

  /** What is on its way to a repository. */
  to(repository: Repository): EarlyLayers | undefined {
    return this.#to.get(keyOf(repository));
  }

  /** For the solver: a result is known. */
  readonly result = (vertex: Digest, outcome: StepOutcome): void => {
    const above = this.#chain.get(vertex);
    if (above === undefined) return;
    const { bases, caches } = this.#prepared;
    const layers = layersOf(outcome).filter((layer) => this.#mayLeave(layer));
    const origins = caches?.origins(layers) ?? bases.origins;
    for (const { layer } of layers) {
      // The push is next, and looks for all that has a blob.
      if (above.isTop && (!layer.isNew() || layer.hasBlob())) continue;
      const origin = origins.get(layer.knownDiffId);
      const isRead = above.reads || this.#readByOutputs;
      for (const to of this.#to.values()) to.add({ layer, origin, isRead, look: above.runs });
    }
  };

  /** Those of this build that a step has made were searched; those of earlier builds perhaps for other secrets. */
  #mayLeave({ layer: { knownDiffId }, leaks }: ResultLayer): boolean {
    const { bases, gate } = this.#prepared;
    if (bases.layer(knownDiffId) !== undefined) return true;
    return leaks === undefined && (gate === undefined || gate.isClean(knownDiffId));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#to.values()].map((layers) => layers[Symbol.asyncDispose]()));
  }
}

function keyOf({ registry, repository }: Repository): string {
  return `${registry}/${repository}`;
}

/** What is still to be done on top of a result when it is known. */
interface Above {
  readonly isTop: boolean;
  /** A step reads the files of the result. */
  readonly reads: boolean;
  /** A step runs, which gives time. */
  readonly runs: boolean;
}

/** The vertices whose layers are all in the image. */
export function imageChain({ vertices, target }: Definition): ReadonlyMap<Digest, Above> {
  const chain = new Map<Digest, Above>();
  if (target !== undefined) chain.set(target, { isTop: true, reads: false, runs: false });
  for (const vertex of vertices.toReversed()) {
    const above = chain.get(vertex.digest);
    if (above === undefined) continue;
    const { op } = vertex;
    const runs = above.runs || op.kind === 'exec';
    const reads =
      above.reads || op.kind === 'exec' || op.kind === 'mkdir' || (op.kind === 'copy' && !op.link);
    for (const below of standsOn(vertex)) {
      const known = chain.get(below);
      chain.set(below, {
        isTop: false,
        reads: reads || known?.reads === true,
        runs: runs || known?.runs === true,
      });
    }
  }
  return chain;
}

function standsOn({ op, inputs }: Vertex): readonly Digest[] {
  if (op.kind === 'merge') return inputs;
  const base = 'base' in op && op.base !== undefined ? inputs[op.base] : undefined;
  return base === undefined ? [] : [base];
}
