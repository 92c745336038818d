import type { Emit, ProgressEvent } from '../progress/event.ts';
import { BuildError } from '../util/build-error.ts';
import { masked, SecretMask, starred } from '../util/secret-mask.ts';
import type { SecretSearch } from '../util/secret-search.ts';
import type { SourceLocation } from '../util/source.ts';

type Vertex = Extract<ProgressEvent, { type: 'vertex' }>;
type Log = Extract<ProgressEvent, { type: 'log' }>;

/** Events with `****` in the place of secrets: in output, however it is cut into pieces, and in all texts. */
export function maskedEvents(emit: Emit, search: SecretSearch): Emit {
  const streams = new Map<string, { mask: SecretMask; last: Log }>();
  const text = (value: string): string => masked(search, value);
  const log = (event: Log): void => {
    const name = `${event.stream} ${event.id}`;
    const stream = streams.get(name) ?? { mask: new SecretMask(search), last: event };
    stream.last = event;
    streams.set(name, stream);
    const data = stream.mask.push(event.data);
    if (data.length > 0) emit({ ...event, data });
  };
  /** What was kept back of a step's output. */
  const flush = (id: string): void => {
    for (const name of [`stdout ${id}`, `stderr ${id}`]) {
      const stream = streams.get(name);
      streams.delete(name);
      const data = stream?.mask.end();
      if (stream !== undefined && data !== undefined && data.length > 0) emit({ ...stream.last, data });
    }
  };
  const vertex = (event: Vertex): void => {
    if (event.state !== 'waiting' && event.state !== 'running') flush(event.id);
    const { name, reason, error, miss } = event;
    emit({
      ...event,
      name: text(name),
      ...(reason === undefined ? {} : { reason: text(reason) }),
      ...(error === undefined ? {} : { error: text(error) }),
      ...(miss === undefined ? {} : { miss: maskedData(miss, search) }),
    });
  };
  return (event) => {
    if (event.type === 'log') log(event);
    else if (event.type === 'vertex') vertex(event);
    else if (event.type === 'transfer') emit(event);
    else emit({ ...event, diagnostic: maskedData(event.diagnostic, search) });
  };
}

/** The same error without secrets in its texts; those of the user's own lines keep their columns. */
export function maskedError(error: unknown, search: SecretSearch): unknown {
  if (!(error instanceof BuildError)) return error;
  const { code, message, hint, details, source, others, cause, stack } = error;
  const clean = new BuildError(code, masked(search, message), {
    hint: hint === undefined ? undefined : masked(search, hint),
    details: maskedData(details, search),
    source: source && maskedSource(source, search),
    others: others.map((other) => maskedError(other, search) as BuildError),
    cause: cause instanceof Error ? maskedCause(cause, search) : undefined,
  });
  clean.stack = masked(search, stack ?? '');
  return clean;
}

function maskedCause(cause: Error, search: SecretSearch): Error {
  const clean = new Error(masked(search, cause.message));
  clean.stack = masked(search, cause.stack ?? '');
  return clean;
}

function maskedSource({ source, range }: SourceLocation, search: SecretSearch): SourceLocation {
  return { source: { ...source, text: starred(search, source.text) }, range };
}

/** Plain data with its texts masked. */
export function maskedData<T>(value: T, search: SecretSearch): T {
  const visit = (item: unknown): unknown => {
    if (typeof item === 'string') return masked(search, item);
    if (Array.isArray(item)) return item.map(visit);
    if (typeof item !== 'object' || item === null || ArrayBuffer.isView(item)) return item;
    return Object.fromEntries(
      Object.entries(item).map(([key, inner]) =>
        key === 'source' && isLocation(inner) ? [key, maskedSource(inner, search)] : [key, visit(inner)],
      ),
    );
  };
  return visit(value) as T;
}

function isLocation(value: unknown): value is SourceLocation {
  return typeof value === 'object' && value !== null && 'source' in value && 'range' in value;
}
