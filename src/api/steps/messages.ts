import type { ProgressEvent } from '../../progress/event.ts';
import type { ExecOp } from '../../graph/op.ts';
import type { LocatedLayer } from '../../image/layer-store.ts';
import type { LayerLeak } from '../../image/secret-scan.ts';
import type { Platform } from '../../oci/platform.ts';
import { BuildError } from '../../util/build-error.ts';
import type { ErrorCode } from '../../util/error-codes.ts';
import type { StoreTask } from '../store-types.ts';
import type { ContainerTask, KeptCache, ShellOpening, StepTask } from './steps.ts';

// What a build and its steps worker say to each other: plain data over Node's channel between processes. Contents of files go through the
// store. Each call has a number; output and the end of the call carry it.

export type LocatedSource =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'layers'; readonly layers: readonly LocatedLayer[] };

/** A step as data: its layers are in the store, and of the secrets there are those that it mounts. */
export type SentTask = Omit<StepTask, 'layers' | 'binds' | 'secrets'> & {
  readonly layers: readonly LocatedLayer[];
  readonly binds: ReadonlyMap<number, LocatedSource>;
  readonly secrets: ReadonlyMap<string, Uint8Array>;
};

export type SentContainer = Omit<ContainerTask, 'layers' | 'onOutput' | 'signal'> & {
  readonly layers: readonly LocatedLayer[];
};

export type SentOpening = Omit<ShellOpening, 'onOutput' | 'signal'>;

export type Call =
  | { readonly call: 'check'; readonly platform: Platform }
  | { readonly call: 'inspectRuntimes' }
  | { readonly call: 'takeCaches'; readonly op: ExecOp }
  | { readonly call: 'freeCaches'; readonly token: number }
  | { readonly call: 'keepCache'; readonly cache: string }
  | { readonly call: 'fillCache'; readonly cache: string; readonly content: KeptCache }
  | {
      readonly call: 'run';
      readonly task: SentTask;
      readonly token: number | undefined;
      readonly keepFailed: boolean;
    }
  | {
      readonly call: 'shell';
      readonly task: SentTask;
      readonly token: number | undefined;
      readonly opening: SentOpening;
    }
  /** Of the failed step that the call with this number has kept. */
  | { readonly call: 'failedShell'; readonly kept: number; readonly opening: SentOpening }
  | { readonly call: 'discardFailed'; readonly kept: number }
  | { readonly call: 'runContainer'; readonly task: SentContainer }
  | { readonly call: 'maintain'; readonly task: StoreTask };

export type ToWorker =
  | (Call & { readonly id: number })
  | { readonly abort: number }
  /** So many bytes of the call's output have been dealt with. */
  | { readonly drained: number; readonly bytes: number };

export type FromWorker =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: SentError }
  | { readonly id: number; readonly stream: 'stdout' | 'stderr'; readonly data: Uint8Array }
  | { readonly event: ProgressEvent };

export interface SentError {
  /** undefined: no BuildError. */
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;
  readonly stack: string | undefined;
}

export interface RunResult {
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly layer: LocatedLayer | undefined;
  readonly leaks: readonly LayerLeak[];
  /** The step has failed and was kept, under the number of its call. */
  readonly kept: number | undefined;
}

export function sendError(error: unknown): SentError {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  if (error instanceof BuildError) {
    const { code, hint, details } = error;
    return { code, message, hint, details, stack };
  }
  return { code: undefined, message, hint: undefined, details: {}, stack };
}

export function receiveError({ code, message, hint, details, stack }: SentError): Error {
  const error = code === undefined ? new Error(message) : new BuildError(code, message, { hint, details });
  if (stack !== undefined) error.stack = stack;
  return error;
}
