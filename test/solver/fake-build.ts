import type { CacheStore, Known, NearRecord, RecordAbout } from '../../src/graph/cache-store.ts';
import type { Definition } from '../../src/graph/definition.ts';
import type { ExecOp, Op } from '../../src/graph/op.ts';
import type { Vertex, VertexMeta } from '../../src/graph/vertex.ts';
import { makeVertex } from '../../src/graph/vertex.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { digestOf, digestOfJson } from '../../src/oci/digest.ts';
import type { ProgressEvent } from '../../src/progress/event.ts';
import type { OpRunner, OpRunners, RunContext } from '../../src/solver/runner.ts';
import type { Solved } from '../../src/solver/solve.ts';
import { solve } from '../../src/solver/solve.ts';
import type { JsonValue } from '../../src/util/canonical-json.ts';

/**
 * A step for tests. mkdir: keyed by definition. copy: input 0 by definition, the others by their content. exec: stands on input 0, all by content.
 * context: without a key.
 */
export function step(
  kind: 'mkdir' | 'copy' | 'exec' | 'context',
  name: string,
  more: { inputs?: readonly Vertex[]; meta?: Partial<VertexMeta> } = {},
): Vertex {
  const inputs = (more.inputs ?? []).map(({ digest }) => digest);
  const ops: Readonly<Record<typeof kind, Op>> = {
    mkdir: { kind: 'mkdir', base: 0, path: name, user: '' },
    copy: { kind: 'copy', base: 0, sources: [], dest: name, parents: false, exclude: [], link: false },
    exec: { ...execOp, hostname: name },
    context: { kind: 'context', name },
  };
  return makeVertex(ops[kind], inputs, { name, ...more.meta });
}

const execOp: ExecOp = {
  ...{ kind: 'exec', base: 0, args: [], env: [], cwd: '/', user: '', mounts: [], files: [], hostname: '' },
  ...{ network: 'default', security: 'sandbox', platform: { os: 'linux', architecture: 'amd64' } },
};

function nameOf(op: Op): string {
  return op.kind === 'mkdir'
    ? op.path
    : op.kind === 'copy'
      ? op.dest
      : op.kind === 'exec'
        ? op.hostname
        : op.kind;
}

export function definitionOf(...vertices: readonly Vertex[]): Definition {
  return { vertices, target: vertices.at(-1)?.digest };
}

/** A cache in memory that counts; leases work between solves that share it. */
export class MemoryCache implements CacheStore<string> {
  readonly records: Map<Digest, { readonly result: string; readonly about: RecordAbout }> = new Map();
  readonly lookups: Digest[] = [];
  readonly #leases = new Map<Digest, Promise<void>>();

  lookup(key: Digest): Promise<Known<string> | undefined> {
    this.lookups.push(key);
    return Promise.resolve(this.records.get(key));
  }

  async claim(key: Digest): Promise<Known<string> | { readonly lease: AsyncDisposable }> {
    while (this.#leases.has(key)) await this.#leases.get(key);
    const known = this.records.get(key);
    if (known !== undefined) return { result: known.result };
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#leases.set(key, promise);
    const free = (): Promise<void> => {
      this.#leases.delete(key);
      resolve();
      return Promise.resolve();
    };
    return { lease: { [Symbol.asyncDispose]: free } };
  }

  get leased(): number {
    return this.#leases.size;
  }

  record(key: Digest, result: string, about: RecordAbout): Promise<void> {
    this.records.set(key, { result, about });
    return Promise.resolve();
  }

  near(opKey: Digest): Promise<NearRecord | undefined> {
    const found = [...this.records].findLast(([, { about }]) => about.opKey === opKey);
    return Promise.resolve(found === undefined ? undefined : asNear(...found));
  }

  atPlace(place: string): Promise<readonly NearRecord[]> {
    const found = [...this.records].filter(([, { about }]) => about.place === place);
    return Promise.resolve(found.toReversed().map((entry) => asNear(...entry)));
  }
}

function asNear(key: Digest, { about }: { readonly about: RecordAbout }): NearRecord {
  return { ...about, key, components: () => about.components };
}

export interface FakeBuildOptions {
  readonly cache?: CacheStore<string>;
  readonly parallelism?: number;
  readonly signal?: AbortSignal;
  readonly target?: Digest;
  /** What a step yields; default: its name and its inputs. */
  run?(name: string, inputs: readonly string[], context: RunContext): Promise<string> | string;
  /** What a step has to hold while it runs. */
  reserve?(name: string): Promise<Disposable>;
  /** Refuses a step before what it needs is run. */
  check?(name: string): void;
  /** Told of results. */
  onResult?(vertex: Digest, result: string): void;
  /** What copy and exec read of an input; default: all of it. */
  content?(name: string, input: string): string | undefined;
}

export interface FakeBuild {
  readonly events: ProgressEvent[];
  /** Names of the steps that ran, in order of their start. */
  readonly ran: string[];
  /** Most steps that ran at a time. */
  peak(): number;
  /** `name:state` in order, without waiting. */
  states(): string[];
  reasonOf(name: string): string | undefined;
  readonly solved: Promise<Solved<string>>;
}

/** Starts a solve with runners that count. */
export function fakeBuild(definition: Definition, options: FakeBuildOptions = {}): FakeBuild {
  const events: ProgressEvent[] = [];
  const ran: string[] = [];
  let active = 0;
  let peak = 0;
  const reserve = options.reserve?.bind(options);
  const check = options.check?.bind(options);
  const runner: OpRunner<string> = {
    cacheKey: (op) =>
      Promise.resolve(op.kind === 'context' ? undefined : digestOfJson(op as unknown as JsonValue)),
    inputKey: (op, index, input) => {
      if (op.kind !== 'exec' && (op.kind !== 'copy' || index === op.base)) return Promise.resolve(undefined);
      const content = options.content === undefined ? input : options.content(nameOf(op), input);
      return Promise.resolve(content === undefined ? undefined : digestOf(content));
    },
    ...(reserve === undefined ? {} : { reserve: (op) => reserve(nameOf(op)) }),
    ...(check === undefined ? {} : { check: (op) => Promise.resolve(nameOf(op)).then(check) }),
    // Results of exec are texts, each below the next, as layers are.
    standing: {
      base: (op) => (op.kind === 'exec' ? op.base : undefined),
      below: (result) => result.slice(0, result.lastIndexOf('/')),
      onto: (result, base) => base + result.slice(result.lastIndexOf('/')),
    },
    run: async (_op, inputs, context) => {
      const { name } = context.vertex.meta;
      ran.push(name);
      peak = Math.max(peak, ++active);
      try {
        return options.run === undefined
          ? `${name}(${inputs.join(',')})`
          : await options.run(name, inputs, context);
      } finally {
        active--;
      }
    },
  };
  const kinds = ['image', 'context', 'http', 'git', 'exec', 'copy', 'mkdir', 'merge'] as const;
  const solved = solve(definition, {
    runners: Object.fromEntries(kinds.map((kind) => [kind, runner])) as unknown as OpRunners<string>,
    cache: options.cache ?? new MemoryCache(),
    parallelism: options.parallelism ?? 2,
    signal: options.signal ?? new AbortController().signal,
    emit: (event) => events.push(event),
    ...(options.target === undefined ? {} : { target: options.target }),
    onResult: options.onResult?.bind(options),
  });
  solved.catch(() => undefined);
  const ofVertices = (): Extract<ProgressEvent, { type: 'vertex' }>[] =>
    events.filter((event) => event.type === 'vertex');
  return {
    events,
    ran,
    solved,
    peak: () => peak,
    states: () =>
      ofVertices()
        .filter(({ state }) => state !== 'waiting')
        .map(({ name, state }) => `${name}:${state}`),
    reasonOf: (name) =>
      ofVertices().find((event) => event.name === name && event.reason !== undefined)?.reason,
  };
}
