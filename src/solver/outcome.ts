import { BuildError } from '../util/build-error.ts';

/** What an aborted solve rejects with. */
export function interrupted(signal: AbortSignal): BuildError {
  const reason: unknown = signal.reason;
  if (reason instanceof BuildError) return reason;
  return new BuildError('INTERRUPTED', 'the build was cancelled', { cause: reason });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
