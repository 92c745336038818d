import { createChrootExecutor } from '../../executor/chroot/chroot-executor.ts';
import { endOrphans } from '../../executor/chroot/orphans.ts';
import { createExecutor, inspect } from '../../executor/executor.ts';
import type { OnOutput } from '../../executor/executor.ts';
import { storeFileError } from '../../store/store-error.ts';
import { machineError } from '../../util/system-error.ts';
import { openSession } from '../session.ts';
import { doStoreTask } from '../store-task.ts';
import { chrootSteps } from './chroot-steps.ts';
import { localSteps } from './local-steps.ts';
import type { Call, FromWorker, LocatedSource, RunResult, SentTask, ToWorker } from './messages.ts';
import { sendError } from './messages.ts';
import type { FailedStep, HeldCaches, RunningStep, StepTask, TaskSource } from './steps.ts';

// A program of its own (`worker <root> <runtime> <isolation>`), started as root of a user namespace: it executes the steps of one build there,
// with the code that root runs in-process. It ends with the build that started it, and all that it started ends with it. For
// steps without namespaces it is what keeps their processes together.

/** Output that may be under way before a step has to wait for its reader, in bytes. */
const UNDER_WAY = 1 << 20;

const [root = '', runtime = '', isolation = ''] = process.argv.slice(2);
// Nobody hears what is said after the build; to Node it would be an error that ends this process before it has cleaned up.
const say = (message: FromWorker): void => {
  if (process.connected) process.send?.(message, undefined, {}, () => {});
};

process.once('disconnect', () => void end());
// Whoever started it decides when a build ends.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.umask(0o022);
dropGroups();

const session = await openSession({ root, onEvent: (event) => say({ event }) });
// It is at work from the start: what it uses is marked, and nothing else of the store waits for it.
await session.store.tempDir().catch(() => undefined);
const answers = new Set<Promise<void>>();
const executorOptions = {
  root: session.store.root,
  runtime: runtime === '' ? undefined : runtime,
  emit: session.emit,
  env: session.env,
  ownNamespace: isolation === '',
};
const executor = createExecutor(executorOptions);
const layerStore = session.layerStore();
const steps =
  isolation === 'chroot'
    ? chrootSteps({
        executor: createChrootExecutor(inspect(executorOptions)),
        layerStore,
        store: session.store,
      })
    : localSteps({ executor, layerStore, session });
const aborts = new Map<number, AbortController>();
const drains = new Map<number, (bytes: number) => void>();
const held = new Map<number, HeldCaches & Disposable>();
const failed = new Map<number, FailedStep>();
const cleaned = executor.cleanStale();

process.on('message', (message: ToWorker) => {
  if ('abort' in message) aborts.get(message.abort)?.abort();
  else if ('drained' in message) drains.get(message.drained)?.(message.bytes);
  else {
    const answered = answer(message).finally(() => answers.delete(answered));
    answers.add(answered);
  }
});

/** The build is over, or was killed: in a user namespace this process would be dead then too. */
async function end(): Promise<void> {
  for (const controller of aborts.values()) controller.abort();
  await Promise.all(answers);
  await steps[Symbol.asyncDispose]();
  if (isolation === 'chroot') await endOrphans(() => false);
  await session[Symbol.asyncDispose]();
  process.exit();
}

async function answer(message: Call & { readonly id: number }): Promise<void> {
  const { id } = message;
  const controller = new AbortController();
  aborts.set(id, controller);
  try {
    say({ id, result: await execute(message, controller.signal) });
  } catch (error) {
    say({ id, error: sendError(storeFileError(machineError(error), session.store.root)) });
  } finally {
    aborts.delete(id);
    drains.delete(id);
  }
}

async function execute(message: Call & { readonly id: number }, signal: AbortSignal): Promise<unknown> {
  await cleaned;
  switch (message.call) {
    case 'check':
      return steps.check(message.platform);
    case 'inspectRuntimes':
      return steps.inspectRuntimes();
    case 'takeCaches':
      held.set(message.id, await steps.takeCaches(message.op, signal));
      return message.id;
    case 'freeCaches':
      held.get(message.token)?.[Symbol.dispose]();
      held.delete(message.token);
      return undefined;
    case 'keepCache':
      return steps.keepCache(message.cache, signal);
    case 'fillCache':
      return steps.fillCache(message.cache, message.content, signal);
    case 'run': {
      const { task, keepFailed } = message;
      const running = { ...runningOf(message, signal), keepFailed };
      const { layer, failed: kept, ...ended } = await steps.run(openedTask(task), running);
      if (kept !== undefined) failed.set(message.id, kept);
      return {
        ...ended,
        layer: await layer?.locate(signal),
        kept: kept && message.id,
      } satisfies RunResult;
    }
    case 'shell':
      return steps.shell(openedTask(message.task), {
        ...message.opening,
        ...runningOf(message, signal),
      });
    case 'failedShell':
      return failed.get(message.kept)?.shell({ ...message.opening, onOutput: output(message.id), signal });
    case 'discardFailed':
      await failed.get(message.kept)?.[Symbol.asyncDispose]();
      failed.delete(message.kept);
      return undefined;
    case 'runContainer':
      return steps.runContainer({
        ...message.task,
        layers: message.task.layers.map((layer) => layerStore.open(layer)),
        onOutput: output(message.id),
        signal,
      });
    case 'maintain':
      return doStoreTask(session.store, message.task, signal);
    default:
      throw new TypeError(`no such call: ${JSON.stringify(message)}`);
  }
}

function runningOf(
  { id, token }: { readonly id: number; readonly token: number | undefined },
  signal: AbortSignal,
): RunningStep {
  return { caches: token === undefined ? undefined : held.get(token), onOutput: output(id), signal };
}

function openedTask(task: SentTask): StepTask {
  return {
    ...task,
    layers: task.layers.map((layer) => layerStore.open(layer)),
    binds: new Map([...task.binds].map(([index, source]) => [index, opened(source)])),
    secrets: { get: (name) => Promise.resolve(task.secrets.get(name)) },
  };
}

function opened(source: LocatedSource): TaskSource {
  return source.kind === 'directory'
    ? source
    : { kind: source.kind, layers: source.layers.map((layer) => layerStore.open(layer)) };
}

/** Sends output on; a step that writes faster than it is read has to wait. */
function output(id: number): OnOutput {
  let underWay = 0;
  let waiting: PromiseWithResolvers<void> | undefined;
  drains.set(id, (bytes) => {
    underWay -= bytes;
    if (underWay > UNDER_WAY) return;
    waiting?.resolve();
    waiting = undefined;
  });
  return (stream, data) => {
    underWay += data.length;
    say({ id, stream, data });
    if (underWay <= UNDER_WAY) return undefined;
    waiting ??= Promise.withResolvers();
    return waiting.promise;
  };
}

/** The groups of the user outside have no name here; where the kernel allows it they go. */
function dropGroups(): void {
  try {
    process.setgroups?.([0]);
  } catch {
    // Given up with the single id (user_namespaces(7)).
  }
}
