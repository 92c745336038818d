import type { ProgressEvent } from '../index.ts';
import { LogLines } from './render/log-lines.ts';
import { sanitizeLine } from './sanitize.ts';

/** What a failed step wrote last. */
export interface FailedLog {
  readonly name: string;
  readonly lines: readonly string[];
}

/** Remembers the last lines of each step that runs, whatever is shown of them, for the report of a failure (U-7). */
export class LogTail {
  private readonly running: Map<string, { readonly log: LogLines; lines: string[] }> = new Map();
  private readonly limit: number;
  private readonly color: boolean;
  private failedLogs: readonly FailedLog[] = [];

  constructor({ limit, color }: { readonly limit: number; readonly color: boolean }) {
    this.limit = limit;
    this.color = color;
  }

  onEvent(event: ProgressEvent): void {
    if (event.type === 'log') {
      let tail = this.running.get(event.id);
      if (tail === undefined)
        this.running.set(event.id, (tail = { log: new LogLines({ color: this.color }), lines: [] }));
      this.append(tail, tail.log.push(event.stream, event.data));
    } else if (event.type === 'vertex' && event.state !== 'waiting' && event.state !== 'running') {
      const tail = this.running.get(event.id);
      this.running.delete(event.id);
      if (event.state !== 'failed' || tail === undefined) return;
      this.append(tail, tail.log.end());
      this.failedLogs = [...this.failedLogs, { name: sanitizeLine(event.name), lines: tail.lines }];
    }
  }

  /** The logs of the steps that failed, in order. */
  failed(): readonly FailedLog[] {
    return this.failedLogs;
  }

  private append(tail: { lines: string[] }, lines: readonly string[]): void {
    tail.lines.push(...lines);
    tail.lines.splice(0, Math.max(0, tail.lines.length - this.limit));
  }
}
