import { BuildError } from '../util/build-error.ts';
import type { SourceLocation } from '../util/source.ts';
import { machineError } from '../util/system-error.ts';

/** What an aborted solve rejects with. */
export function interrupted(signal: AbortSignal): BuildError {
  const reason: unknown = signal.reason;
  if (reason instanceof BuildError) return reason;
  return new BuildError('INTERRUPTED', 'the build was cancelled', { cause: reason });
}

/** What a step has thrown, at its line; what is no error of the user stays as it is. */
export function locatedError(thrown: unknown, source: SourceLocation | undefined): unknown {
  const error = machineError(thrown);
  return error instanceof BuildError ? error.at(source) : error;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
