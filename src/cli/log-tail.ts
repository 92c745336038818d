import type { ProgressEvent } from '../index.ts';
import { lastLines, LogLines } from './render/log-lines.ts';
import type { LogEvent } from './render/renderer.ts';
import { sanitizeLine } from './sanitize.ts';

/** What a failed step wrote last. */
export interface FailedLog {
  readonly name: string;
  readonly lines: readonly string[];
}

/** So many bytes of a step's output are kept: more than enough for its last lines, which are made only if it fails. */
const KEPT = 262_144;

interface Tail {
  chunks: LogEvent[];
  bytes: number;
}

/** Remembers the last lines of each step that runs, whatever is shown of them, for the report of a failure (U-7). */
export class LogTail {
  private readonly running: Map<string, Tail> = new Map();
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
      if (tail === undefined) this.running.set(event.id, (tail = { chunks: [], bytes: 0 }));
      keep(tail, event);
    } else if (event.type === 'vertex' && event.state !== 'waiting' && event.state !== 'running') {
      const tail = this.running.get(event.id);
      this.running.delete(event.id);
      if (event.state !== 'failed' || tail === undefined) return;
      this.failedLogs = [...this.failedLogs, { name: sanitizeLine(event.name), lines: this.lines(tail) }];
    }
  }

  /** The logs of the steps that failed, in order. */
  failed(): readonly FailedLog[] {
    return this.failedLogs;
  }

  private lines(tail: Tail): readonly string[] {
    const log = new LogLines({ color: this.color });
    const texts = [...tail.chunks.map(({ stream, data }) => log.push(stream, data)), log.end()];
    const whole = texts.filter((text) => text !== undefined);
    return whole.length === 0 ? [] : lastLines(whole.join('\n'), this.limit);
  }
}

/** Drops what is older than the kept bytes, now and then: output may come byte by byte. */
function keep(tail: Tail, event: LogEvent): void {
  tail.chunks.push(event);
  tail.bytes += event.data.length;
  if (tail.bytes < 2 * KEPT && tail.chunks.length < KEPT) return;
  let bytes = 0;
  const first = tail.chunks.findLastIndex(({ data }) => (bytes += data.length) >= KEPT);
  tail.chunks = tail.chunks.slice(Math.max(0, first));
  tail.bytes = Math.min(bytes, tail.bytes);
}
