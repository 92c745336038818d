import { createHash } from 'node:crypto';
import type { BuildOutcome, Diagnostic, ProgressEvent } from '../../index.ts';
import type { Renderer, VertexEvent } from './renderer.ts';
import { hasEnded } from './renderer.ts';

/** One JSON object per line, in the shape of BuildKit's SolveStatus (U-9); `key`, `reason`, `miss` (the same as data) and `from` are ours. Nothing is sanitised: JSON escapes it. */
export class JsonRenderer implements Renderer {
  private readonly write: (text: string) => void;
  private readonly started: Map<string, number> = new Map();
  private readonly transfersStarted: Map<string, number> = new Map();
  private lastVertex = '';

  constructor(write: (text: string) => void) {
    this.write = write;
  }

  onEvent(event: ProgressEvent): void {
    switch (event.type) {
      case 'vertex':
        return this.line({ vertexes: [this.vertex(event)] });
      case 'log':
        return this.line({
          logs: [
            {
              vertex: vertexDigest(event.id),
              stream: event.stream === 'stdout' ? 1 : 2,
              data: Buffer.from(event.data).toString('base64'),
              timestamp: timestamp(event.time),
            },
          ],
        });
      case 'transfer': {
        const key = JSON.stringify([event.id, event.name]);
        const started = this.transfersStarted.get(key) ?? event.time;
        this.transfersStarted.set(key, started);
        return this.line({
          statuses: [
            {
              id: event.name,
              vertex: vertexDigest(event.id),
              name: event.name,
              total: event.total,
              current: event.current,
              timestamp: timestamp(event.time),
              started: timestamp(started),
              completed: event.done ? timestamp(event.time) : undefined,
            },
          ],
        });
      }
      case 'diagnostic':
        return this.line({ warnings: [warning(event.diagnostic, this.lastVertex)] });
    }
  }

  finish(_outcome: BuildOutcome): void {
    // Every event has been written; the error itself is reported as text.
  }

  private vertex(event: VertexEvent): Readonly<Record<string, unknown>> {
    this.lastVertex = vertexDigest(event.id);
    if (event.state !== 'waiting' && event.state !== 'cancelled' && !this.started.has(event.id))
      this.started.set(event.id, event.time);
    const started = this.started.get(event.id);
    const error =
      event.state === 'cancelled'
        ? 'context canceled'
        : event.state === 'failed'
          ? (event.error ?? 'failed')
          : undefined;
    return {
      digest: vertexDigest(event.id),
      inputs: event.inputs?.map(vertexDigest),
      name: event.name,
      started: started === undefined ? undefined : timestamp(started),
      completed: hasEnded(event.state) ? timestamp(event.time) : undefined,
      cached: event.state === 'cached' ? true : undefined,
      error,
      ...{ key: event.key, reason: event.reason, miss: event.miss, from: event.from },
    };
  }

  private line(value: Readonly<Record<string, unknown>>): void {
    this.write(`${JSON.stringify(value)}\n`);
  }
}

/** Readers of the format expect a digest; work that is no vertex gets that of its id. */
function vertexDigest(id: string): string {
  return id.startsWith('sha256:') ? id : `sha256:${createHash('sha256').update(id).digest('hex')}`;
}

function timestamp(time: number): string {
  return new Date(time).toISOString();
}

function warning(diagnostic: Diagnostic, vertex: string): Readonly<Record<string, unknown>> {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const { source } = diagnostic;
  const position = ({ line, column }: { line: number; column: number }): unknown => ({
    line,
    character: column - 1,
  });
  return {
    vertex,
    level: diagnostic.severity === 'warning' ? 1 : 0,
    short: base64(
      `${diagnostic.rule}: ${diagnostic.message}${source === undefined ? '' : ` (line ${source.range.start.line})`}`,
    ),
    detail: diagnostic.hint === undefined ? undefined : [base64(diagnostic.hint)],
    url: diagnostic.url,
    sourceInfo:
      source === undefined
        ? undefined
        : { filename: source.source.name, data: base64(source.source.text), language: 'Dockerfile' },
    range:
      source === undefined
        ? undefined
        : [{ start: position(source.range.start), end: position(source.range.end) }],
  };
}
