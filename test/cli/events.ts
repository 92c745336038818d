import type { ProgressEvent } from '../../src/index.ts';

/** A moment of the tests' clock: seconds after its start. */
export function at(seconds: number): number {
  return Date.UTC(2026, 0, 2, 3, 4, 5) + Math.round(seconds * 1000);
}

type Id = `internal:${string}`;
type VertexChanges = Partial<Extract<ProgressEvent, { type: 'vertex' }>>;

export function vertex(
  name: string,
  state: Extract<ProgressEvent, { type: 'vertex' }>['state'],
  { seconds, ...changes }: VertexChanges & { readonly seconds: number },
): ProgressEvent {
  return { type: 'vertex', id: idOf(name), name, state, time: at(seconds), ...changes };
}

export function log(name: string, seconds: number, data: string | Uint8Array): ProgressEvent {
  return { type: 'log', id: idOf(name), stream: 'stdout', data: Buffer.from(data), time: at(seconds) };
}

export function transfer(
  name: string,
  blob: string,
  {
    seconds,
    current,
    total,
    done = false,
  }: { seconds: number; current: number; total?: number; done?: boolean },
): ProgressEvent {
  const known = total === undefined ? {} : { total };
  return { type: 'transfer', id: idOf(name), name: blob, current, ...known, done, time: at(seconds) };
}

function idOf(name: string): Id {
  return `internal:${name}`;
}

const load = '[internal] load build definition from Dockerfile';
const from = '[1/4] FROM docker.io/library/alpine:3.20';
const deps = '[2/4] RUN apk add make';
const make = '[3/4] RUN make all';
const copy = '[deps 1/1] COPY package.json .';

/** A build with all that can happen but a failure: a cached step, a pull, logs of two steps that run side by side. */
export const goodBuild: readonly ProgressEvent[] = [
  vertex(load, 'running', { seconds: 0 }),
  vertex(load, 'done', { seconds: 0.04 }),
  vertex(from, 'waiting', { seconds: 0.05 }),
  vertex(deps, 'waiting', { seconds: 0.05 }),
  vertex(make, 'waiting', { seconds: 0.05 }),
  vertex(copy, 'waiting', { seconds: 0.05 }),
  vertex(copy, 'cached', { seconds: 0.06 }),
  vertex(from, 'running', { seconds: 0.1 }),
  transfer(from, 'sha256:0f0f0f', { seconds: 0.2, current: 0, total: 3_400_000 }),
  transfer(from, 'sha256:0f0f0f', { seconds: 0.5, current: 1_700_000, total: 3_400_000 }),
  transfer(from, 'sha256:0f0f0f', { seconds: 0.9, current: 3_400_000, total: 3_400_000, done: true }),
  vertex(from, 'done', { seconds: 1 }),
  vertex(deps, 'running', { seconds: 1, reason: 'the command changed' }),
  vertex(make, 'running', { seconds: 1.1 }),
  log(deps, 1.2, 'fetch index\n'),
  log(make, 1.3, 'cc -o a a.c\n'),
  log(deps, 1.4, 'install \u001b[32mmake\u001b[0m\u001b[2J\n(1/2) 10%\r(1/2) 100%\nno line end'),
  log(make, 6.5, 'cc -o b b.c\n'),
  log(deps, 6.6, ', and its rest\n'),
  vertex(deps, 'done', { seconds: 7 }),
  log(make, 7.1, 'linked\n'),
  vertex(make, 'done', { seconds: 7.25 }),
];

/** A step fails, and takes another one with it. */
export const badBuild: readonly ProgressEvent[] = [
  vertex(deps, 'running', { seconds: 0 }),
  vertex(make, 'running', { seconds: 0.1 }),
  log(make, 0.2, 'cc -o a a.c\na.c:1: \u001b]0;owned\u0007error: no\n'),
  vertex(make, 'failed', {
    seconds: 0.5,
    error: 'process "/bin/sh -c make all" did not complete: exit code: 2',
  }),
  vertex(deps, 'cancelled', { seconds: 0.6 }),
  vertex(from, 'cancelled', { seconds: 0.6 }),
];
