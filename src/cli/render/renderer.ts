import type { BuildOutcome, ProgressEvent } from '../../index.ts';

/** Shows the events of one build. Synchronous; must not throw. */
export interface Renderer {
  onEvent(event: ProgressEvent): void;
  /** The last call: shows what is still open. Errors and warnings are the business of `report.ts`. */
  finish(outcome: BuildOutcome): void;
}

/** Where a renderer writes. Sizes are read anew for each frame, so that a resize is followed. */
export interface Screen {
  write(text: string): void;
  readonly columns: number;
  readonly rows: number;
  readonly color: boolean;
}

export type VertexEvent = Extract<ProgressEvent, { type: 'vertex' }>;
export type LogEvent = Extract<ProgressEvent, { type: 'log' }>;
export type TransferEvent = Extract<ProgressEvent, { type: 'transfer' }>;
export type VertexState = VertexEvent['state'];

/** Whether nothing more will come of a vertex. */
/** Whether nothing more of a step is news: what was on its way beside its failure may still come. */
export function isGivenUp(state: VertexState): boolean {
  return state === 'failed' || state === 'cancelled';
}

export function hasEnded(state: VertexState): boolean {
  return state !== 'waiting' && state !== 'running';
}

/** `12.3MB / 45MB`, or what is known of it. */
export function transferAmount(event: TransferEvent, format: (bytes: number) => string): string {
  if (event.total === undefined || event.done)
    return event.current === 0 && event.done ? '' : format(event.current);
  return `${format(event.current)} / ${format(event.total)}`;
}
