import type { BuildOutcome, ProgressEvent } from '../../index.ts';
import { formatBytes, formatSeconds } from '../format.ts';
import { sanitizeLine } from '../sanitize.ts';
import { LogLines } from './log-lines.ts';
import { hasEnded, isGivenUp, transferAmount } from './renderer.ts';
import type { LogEvent, Renderer, TransferEvent, VertexEvent, VertexState } from './renderer.ts';

/** How long a step keeps the output while another one that still runs has something to say. Milliseconds. */
const turn = 5000;
/** How often a transfer that goes on is told. Milliseconds. */
const transferInterval = 5000;

/** More than this of a step's output is not kept for its turn: then it takes it. Characters. */
const longestPending = 65_536;

interface Pending {
  /** Before each line. */
  readonly time: string;
  readonly text: string;
}

interface Step {
  readonly id: string;
  readonly log: LogLines;
  name: string;
  state: VertexState;
  /** 0 until first printed. */
  index: number;
  started: number | undefined;
  reason: string | undefined;
  error: string | undefined;
  ended: number | undefined;
  /** Not yet printed: each is one line, or several that belong to the same time. */
  pending: Pending[];
  pendingLength: number;
  readonly transferTold: Map<string, number>;
}

/** Lines for logs and pipes: `#N [name]`, `#N 0.123 text`, `#N DONE 0.1s` (U-4). Steps take turns; one that ended goes first. */
export class PlainRenderer implements Renderer {
  private readonly steps: Map<string, Step> = new Map();
  private readonly write: (text: string) => void;
  private readonly color: boolean;
  private current: Step | undefined;
  private currentSince = 0;
  private printed = 0;

  constructor(write: (text: string) => void, options: { readonly color: boolean }) {
    this.write = write;
    this.color = options.color;
  }

  onEvent(event: ProgressEvent): void {
    switch (event.type) {
      case 'vertex':
        return this.vertex(event);
      case 'log':
        return this.log(event);
      case 'transfer':
        return this.transfer(event);
      case 'diagnostic':
        return;
    }
  }

  finish(outcome: BuildOutcome): void {
    for (const step of this.steps.values()) {
      if (step.ended !== undefined || (step.state === 'waiting' && step.pending.length === 0)) continue;
      step.state = outcome.ok ? 'done' : 'cancelled';
      step.ended = step.started ?? 0;
      this.logRest(step, step.ended);
      this.print(step, step.ended);
    }
  }

  /** Gives the turn to a step that has waited long enough. For a timer; `now` in milliseconds since the epoch. */
  tick(now: number): void {
    if (this.current !== undefined && now - this.currentSince < turn) return;
    const next = this.waiting();
    if (next !== undefined) this.print(next, now);
  }

  private step(id: string): Step {
    let step = this.steps.get(id);
    if (step === undefined) {
      step = {
        id,
        log: new LogLines({ color: this.color }),
        name: id,
        state: 'waiting',
        index: 0,
        started: undefined,
        reason: undefined,
        error: undefined,
        ended: undefined,
        pending: [],
        pendingLength: 0,
        transferTold: new Map(),
      };
      this.steps.set(id, step);
    }
    return step;
  }

  private vertex(event: VertexEvent): void {
    const step = this.step(event.id);
    if (hasEnded(step.state)) return;
    step.name = sanitizeLine(event.name);
    step.state = event.state;
    if (event.reason !== undefined && step.reason === undefined) {
      step.reason = sanitizeLine(event.reason);
      step.pending.push({ time: '', text: `because: ${step.reason}` });
    }
    if (event.from !== undefined) step.pending.push({ time: '', text: `from ${sanitizeLine(event.from)}` });
    if (event.state === 'running') step.started ??= event.time;
    if (hasEnded(event.state)) {
      step.ended = event.time;
      step.error = event.error;
      this.logRest(step, event.time);
      // A step that was given up before it began is no news.
      if (event.state === 'cancelled' && step.started === undefined) return;
    }
    if (event.state !== 'waiting') this.offer(step, event.time);
  }

  private log(event: LogEvent): void {
    const step = this.step(event.id);
    this.pend(step, step.log.push(event.stream, event.data), event.time);
    this.offer(step, event.time);
  }

  private transfer(event: TransferEvent): void {
    const step = this.step(event.id);
    if (isGivenUp(step.state)) return;
    const told = step.transferTold.get(event.name);
    if (told === undefined) step.transferTold.set(event.name, event.time);
    if (!event.done && (told === undefined || event.time - told < transferInterval)) return;
    step.transferTold.set(event.name, event.done ? Infinity : event.time);
    if (event.done && told === Infinity) return;
    const words = [sanitizeLine(event.name), transferAmount(event, formatBytes), event.done ? 'done' : ''];
    step.pending.push({ time: '', text: words.filter((word) => word !== '').join(' ') });
    this.offer(step, event.time);
  }

  private logRest(step: Step, time: number): void {
    this.pend(step, step.log.end(), time);
  }

  private pend(step: Step, text: string | undefined, time: number): void {
    if (text === undefined) return;
    const seconds = (Math.max(0, time - (step.started ?? time)) / 1000).toFixed(3);
    step.pending.push({ time: `${seconds} `, text });
    step.pendingLength += text.length;
  }

  private offer(step: Step, time: number): void {
    const free = this.current === undefined || this.current === step || step.pendingLength > longestPending;
    if (free || step.ended !== undefined || time - this.currentSince >= turn) this.print(step, time);
  }

  private print(step: Step, time: number): void {
    let text = '';
    if (step !== this.current) {
      if (this.current !== undefined) text += `#${this.current.index} ...\n`;
      if (step.index === 0) step.index = ++this.printed;
      text += `${text === '' && step.index === 1 && this.printed === 1 ? '' : '\n'}#${step.index} ${step.name}\n`;
      this.current = step;
      this.currentSince = time;
    }
    for (const pending of step.pending) text += block(`#${step.index} ${pending.time}`, pending.text);
    step.pending = [];
    step.pendingLength = 0;
    if (step.ended !== undefined) {
      text += `#${step.index} ${lastWords(step)}\n`;
      this.current = undefined;
    }
    this.write(text);
    const next = this.current === undefined ? this.waiting() : undefined;
    if (next !== undefined) this.print(next, time);
  }

  /** A step that runs and has something to say, or was never named. */
  private waiting(): Step | undefined {
    for (const step of this.steps.values()) {
      if (step === this.current || step.state !== 'running') continue;
      if (step.pending.length > 0 || step.index === 0) return step;
    }
    return undefined;
  }
}

/** Lines with something before each of them, without blanks at their ends. */
function block(before: string, text: string): string {
  const lines = `${before}${text.replaceAll('\n', `\n${before}`)}\n`;
  if (!/[ \t]\n/.test(lines)) return lines;
  return lines
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

function lastWords(step: Step): string {
  if (step.state === 'cached') return 'CACHED';
  if (step.state === 'cancelled') return 'CANCELED';
  if (step.state === 'failed') return `ERROR: ${sanitizeLine(step.error ?? 'failed')}`;
  return `DONE ${formatSeconds((step.ended ?? 0) - (step.started ?? step.ended ?? 0))}`;
}
