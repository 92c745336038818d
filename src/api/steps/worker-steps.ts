import type { ChildProcess } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RuntimeReport } from '../../executor/doctor.ts';
import type { OnOutput } from '../../executor/executor.ts';
import type { IdMap } from '../../host/userns.ts';
import { spawnInUserNamespace, spawnSubreaper } from '../../host/userns.ts';
import type { LayerStore, LocatedLayer, StoredLayer } from '../../image/layer-store.ts';
import type { Emit } from '../../progress/event.ts';
import { BuildError } from '../../util/build-error.ts';
import { exhaustion } from '../../util/system-error.ts';
import type { Call, FromWorker, LocatedSource, RunResult, SentTask, ToWorker } from './messages.ts';
import { receiveError } from './messages.ts';
import type { StoreTask } from '../store-types.ts';
import type { FailedStep, HeldCaches, Steps, StepTask, TaskSource } from './steps.ts';

export interface WorkerSteps extends Steps {
  /** Work on the store itself, with the rights that its files ask for. */
  maintain(task: StoreTask, signal: AbortSignal): Promise<unknown>;
}

export interface WorkerOptions {
  /** Root of the store. */
  readonly root: string;
  readonly runtime: string | undefined;
  readonly layerStore: LayerStore;
  readonly emit: Emit;
  readonly env: NodeJS.ProcessEnv;
  readonly place: WorkerPlace;
}

/** In a user namespace; or where this process is, for steps without namespaces. */
export type WorkerPlace =
  | {
      readonly map: IdMap;
      /** For helper programs. */
      readonly path: string;
    }
  | 'chroot';

/** Executes steps in a process that is root of a user namespace, or has none. Throws SANDBOX_UNAVAILABLE where none can be made. */
export async function workerSteps(options: WorkerOptions): Promise<WorkerSteps> {
  const worker = await Worker.start(options);
  const { layerStore } = options;
  return {
    check: (platform) => worker.call({ call: 'check', platform }, {}),
    inspectRuntimes: () => worker.call<RuntimeReport>({ call: 'inspectRuntimes' }, {}),
    async takeCaches(op, signal) {
      const token = await worker.call<number>({ call: 'takeCaches', op }, { signal });
      const free = (): void => void worker.call({ call: 'freeCaches', token }, {}).catch(() => {});
      return { token, [Symbol.dispose]: free };
    },
    keepCache: (cache, signal) => worker.call({ call: 'keepCache', cache }, { signal }),
    fillCache: (cache, content, signal) => worker.call({ call: 'fillCache', cache, content }, { signal }),
    async run(task, { caches, onOutput, signal, keepFailed = false }) {
      const sent = await sendTask(task, signal);
      const { layer, kept, ...end } = await worker.call<RunResult>(
        { call: 'run', task: sent, token: tokenOf(caches), keepFailed },
        { signal, onOutput },
      );
      return {
        ...end,
        layer: layer && layerStore.open(layer),
        failed: kept === undefined ? undefined : failedStep(worker, kept),
      };
    },
    async shell(task, { caches, onOutput, signal, ...opening }) {
      const sent = await sendTask(task, signal);
      return worker.call(
        { call: 'shell', task: sent, token: tokenOf(caches), opening },
        { signal, onOutput },
      );
    },
    async runContainer({ onOutput, signal, layers, ...task }) {
      const sent = { ...task, layers: await locate(layers, signal) };
      return worker.call({ call: 'runContainer', task: sent }, { signal, onOutput });
    },
    maintain: (task, signal) => worker.call({ call: 'maintain', task }, { signal }),
    [Symbol.asyncDispose]: () => worker.end(),
  };
}

function failedStep(worker: Worker, kept: number): FailedStep {
  return {
    shell: ({ onOutput, signal, ...opening }) =>
      worker.call({ call: 'failedShell', kept, opening }, { signal, onOutput }),
    [Symbol.asyncDispose]: () => worker.call({ call: 'discardFailed', kept }, {}),
  };
}

function tokenOf(caches: HeldCaches | undefined): number | undefined {
  return caches !== undefined && 'token' in caches ? caches.token : undefined;
}

async function sendTask(
  { layers, binds, secrets, ...task }: StepTask,
  signal: AbortSignal,
): Promise<SentTask> {
  const mounted = new Map<string, Uint8Array>();
  for (const mount of task.op.mounts) {
    const value = mount.type === 'secret' ? await secrets.get(mount.id) : undefined;
    if (mount.type === 'secret' && value !== undefined) mounted.set(mount.id, value);
  }
  const sources = new Map<number, LocatedSource>();
  for (const [index, source] of binds) sources.set(index, await locateSource(source, signal));
  return { ...task, layers: await locate(layers, signal), binds: sources, secrets: mounted };
}

function locate(layers: readonly StoredLayer[], signal: AbortSignal): Promise<LocatedLayer[]> {
  return Promise.all(layers.map((layer) => layer.locate(signal)));
}

async function locateSource(source: TaskSource, signal: AbortSignal): Promise<LocatedSource> {
  return source.kind === 'directory'
    ? source
    : { kind: source.kind, layers: await locate(source.layers, signal) };
}

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly onOutput: OnOutput | undefined;
}

async function wayOut(): Promise<string> {
  const { chrootProblem } = await import('../../executor/chroot/chroot-executor.ts');
  return chrootProblem() === undefined
    ? 'run `tsbuild doctor` to see what this container lacks; a Dockerfile that you trust also builds with --isolation=chroot, which has no sandbox'
    : 'run `tsbuild doctor` to see what this host lacks; a Dockerfile without RUN builds without';
}

/** The process and the calls that it has not answered yet. */
class Worker {
  readonly #child: ChildProcess;
  readonly #emit: Emit;
  readonly #pending = new Map<number, Pending>();
  readonly #ended: Promise<void>;
  #count = 0;

  static async start(options: WorkerOptions): Promise<Worker> {
    // The sources run as they are, compiled or not.
    const program = fileURLToPath(new URL(`./worker${extname(import.meta.url)}`, import.meta.url));
    const { root, runtime = '', place, env } = options;
    const command = [process.execPath, '--no-warnings', program, root, runtime] as const;
    if (place === 'chroot')
      return new Worker(await spawnSubreaper([...command, place], { env }), options.emit);
    try {
      return new Worker(await spawnInUserNamespace([...command], { ...place, env }), options.emit);
    } catch (error) {
      // Of user namespaces that says nothing.
      if (exhaustion(error) !== undefined) throw error;
      throw new BuildError(
        'SANDBOX_UNAVAILABLE',
        `a step needs a user namespace: ${(error as Error).message}`,
        { hint: await wayOut(), cause: error },
      );
    }
  }

  private constructor(child: ChildProcess, emit: Emit) {
    this.#child = child;
    this.#emit = emit;
    child.on('message', (message) => this.#hear(message as FromWorker));
    this.#ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        const how = signal ?? `status ${code}`;
        // Node aborts where it gets no memory or no threads, and the kernel kills who has taken too much.
        const hint =
          'there may be too little memory, or too few processes (`ulimit -u`, the pids of this container)';
        for (const { reject } of this.#pending.values())
          reject(
            new BuildError('SANDBOX_UNAVAILABLE', `the process that executes steps ended (${how})`, { hint }),
          );
        this.#pending.clear();
        resolve();
      });
    });
  }

  #hear(message: FromWorker): void {
    if ('event' in message) return this.#emit(message.event);
    const { id } = message;
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    if ('data' in message) {
      const { stream, data } = message;
      const drained = (): void => this.#say({ drained: id, bytes: data.length });
      void Promise.resolve(pending.onOutput?.(stream, data)).then(drained, drained);
      return;
    }
    this.#pending.delete(id);
    if ('error' in message) pending.reject(receiveError(message.error));
    else pending.resolve(message.result);
  }

  #say(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message);
  }

  /** Rejects with the signal's reason on abort, once the worker has ended what it was doing. */
  async call<T>(
    call: Call,
    { signal, onOutput }: { readonly signal?: AbortSignal; readonly onOutput?: OnOutput },
  ): Promise<T> {
    signal?.throwIfAborted();
    this.#count += 1;
    const id = this.#count;
    const abort = (): void => this.#say({ abort: id });
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { resolve, reject, onOutput });
    signal?.addEventListener('abort', abort);
    try {
      if (!this.#child.connected)
        throw new BuildError('SANDBOX_UNAVAILABLE', 'the process that executes steps has ended');
      this.#say({ ...call, id });
      return (await promise) as T;
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error;
    } finally {
      this.#pending.delete(id);
      signal?.removeEventListener('abort', abort);
    }
  }

  async end(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#ended;
  }
}
