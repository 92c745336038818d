import type { BuildOutcome, ProgressEvent } from '../../index.ts';
import { sanitizeLine } from '../sanitize.ts';
import { styleFor } from '../style.ts';
import type { Style } from '../style.ts';
import { displayWidth } from '../width.ts';
import { lastLines, LogLines } from './log-lines.ts';
import { withPalette } from './palette.ts';
import { hasEnded, isGivenUp } from './renderer.ts';
import type { Renderer, Screen, TransferEvent, VertexEvent } from './renderer.ts';
import { ttyFrame } from './tty-frame.ts';
import type { TtyStep } from './tty-frame.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

interface Step extends Writable<Omit<TtyStep, 'transfers' | 'log'>> {
  readonly lines: LogLines;
  readonly log: string[];
  readonly transferByName: Map<string, { event: TransferEvent; readonly started: number }>;
}

export interface TtyOptions {
  /** Lines of output shown of a running step; default 6 (BUILDKIT_TTY_LOG_LINES). */
  readonly logLines?: number | undefined;
  /** BUILDKIT_COLORS; counts only where there are colours. */
  readonly colors?: string | undefined;
  /** Milliseconds since the epoch; default the clock. */
  readonly now?: (() => number) | undefined;
}

/** A picture of the build that is redrawn in place (U-5). Draws on `draw` and `finish` only; the caller has the timer. */
export class TtyRenderer implements Renderer {
  private readonly steps: Map<string, Step> = new Map();
  private readonly screen: Screen;
  private readonly logLines: number;
  private readonly now: () => number;
  private readonly started: number;
  private readonly style: Style;
  /** Widths of the lines drawn last. */
  private drawn: readonly number[] = [];

  constructor(screen: Screen, options: TtyOptions = {}) {
    this.screen = screen;
    this.logLines = options.logLines ?? 6;
    this.now = options.now ?? Date.now;
    this.started = this.now();
    const style = styleFor(screen.color);
    this.style = screen.color ? withPalette(style, options.colors ?? '') : style;
  }

  onEvent(event: ProgressEvent): void {
    switch (event.type) {
      case 'vertex':
        return this.vertex(event);
      case 'log': {
        const step = this.step(event.id);
        const text = step.lines.push(event.stream, event.data);
        if (text === undefined) return;
        const lines = lastLines(text, this.logLines);
        step.log.push(...lines.map((line) => line.replaceAll('\t', '    ')));
        step.log.splice(0, Math.max(0, step.log.length - this.logLines));
        return;
      }
      case 'transfer': {
        const { state, transferByName } = this.step(event.id);
        if (isGivenUp(state)) return;
        const name = sanitizeLine(event.name);
        const started = transferByName.get(name)?.started ?? event.time;
        transferByName.set(name, { event: { ...event, name }, started });
        return;
      }
      case 'diagnostic':
        return;
    }
  }

  /** Draws the present state over the last one. */
  draw(): void {
    this.paint(undefined);
  }

  finish(outcome: BuildOutcome): void {
    for (const step of this.steps.values()) {
      if (step.state !== 'running') continue;
      step.state = outcome.ok ? 'done' : 'cancelled';
      step.ended = this.now();
    }
    this.paint(outcome.ok);
  }

  private paint(ok: boolean | undefined): void {
    const columns = Math.max(20, this.screen.columns);
    const steps: readonly TtyStep[] = [...this.steps.values()].map((step) => ({
      ...step,
      transfers: [...step.transferByName.values()],
    }));
    const rows = ok === undefined ? Math.max(2, this.screen.rows - 1) : undefined;
    // The last column stays free: some terminals wrap as soon as it is written.
    const lines = ttyFrame(steps, {
      now: this.now(),
      buildStarted: this.started,
      columns: columns - 1,
      rows,
      ok,
      style: this.style,
    });
    // A terminal that became narrower has wrapped the lines of the last frame.
    const up = this.drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    const body = lines.map((line) => `${line}\x1b[K\n`).join('');
    // In one write, the cursor hidden meanwhile: no flicker.
    this.screen.write(`\x1b[?25l${up === 0 ? '' : `\x1b[${up}A\r`}${body}\x1b[J\x1b[?25h`);
    this.drawn = lines.map(displayWidth);
  }

  private step(id: string): Step {
    let step = this.steps.get(id);
    if (step === undefined) {
      step = {
        name: sanitizeLine(id),
        state: 'waiting',
        started: undefined,
        ended: undefined,
        reason: undefined,
        lines: new LogLines({ color: this.screen.color }),
        log: [],
        transferByName: new Map(),
      };
      this.steps.set(id, step);
    }
    return step;
  }

  private vertex(event: VertexEvent): void {
    const known = this.step(event.id);
    if (hasEnded(known.state)) return;
    if (event.state !== 'waiting' && known.started === undefined) {
      if (event.state !== 'cancelled') known.started = event.time;
      // Rows stand in the order in which steps begin.
      this.steps.delete(event.id);
      this.steps.set(event.id, known);
    }
    known.name = sanitizeLine(event.name);
    known.state = event.state;
    if (event.reason !== undefined) known.reason = sanitizeLine(event.reason);
    if (hasEnded(event.state)) known.ended = event.time;
  }
}
