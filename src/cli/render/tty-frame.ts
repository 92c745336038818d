import { formatBytes, formatSeconds } from '../format.ts';
import type { Style } from '../style.ts';
import { displayWidth, truncate } from '../width.ts';
import { hasEnded, transferAmount } from './renderer.ts';
import type { TransferEvent, VertexState } from './renderer.ts';

/** What a frame knows of one step. Times in milliseconds since the epoch. */
export interface TtyStep {
  readonly name: string;
  readonly state: VertexState;
  readonly started: number | undefined;
  readonly ended: number | undefined;
  readonly reason: string | undefined;
  readonly transfers: readonly { readonly event: TransferEvent; readonly started: number }[];
  /** The last lines of output. */
  readonly log: readonly string[];
}

/** What a frame is drawn for. */
export interface TtyView {
  readonly now: number;
  readonly buildStarted: number;
  readonly columns: number;
  /** Lines that the frame may take; undefined when it will not be redrawn. */
  readonly rows: number | undefined;
  /** Undefined while the build runs. */
  readonly ok: boolean | undefined;
  readonly style: Style;
}

/** A frame as lines, none wider than the view (U-5): title, then a row for each step that began, with its transfers and log. */
export function ttyFrame(steps: readonly TtyStep[], view: TtyView): readonly string[] {
  const ended = steps.filter((step) => hasEnded(step.state) && step.state !== 'cancelled').length;
  const end = view.ok === undefined ? '' : view.ok ? ' FINISHED' : ' FAILED';
  const title = `[+] Building ${formatSeconds(view.now - view.buildStarted)} (${ended}/${steps.length})${end}`;
  const begun = steps.filter(
    (step) => step.state !== 'waiting' && (step.started !== undefined || step.state !== 'cancelled'),
  );
  const blocks = begun.map((step) => ({ running: step.state === 'running', lines: block(step, view) }));
  return [truncate(title, view.columns), ...fit(blocks, view.rows === undefined ? undefined : view.rows - 1)];
}

interface Block {
  readonly running: boolean;
  readonly lines: readonly string[];
}

// What has ended goes first, oldest first; then the running steps lose their logs; then the top of the list is cut.
function fit(blocks: readonly Block[], rows: number | undefined): readonly string[] {
  const count = (list: readonly Block[]): number => list.reduce((sum, { lines }) => sum + lines.length, 0);
  if (rows === undefined || count(blocks) <= rows) return blocks.flatMap(({ lines }) => lines);
  let kept = blocks.map((item) => (item.running ? item : { ...item, lines: item.lines.slice(0, 1) }));
  for (const item of kept.filter(({ running }) => !running)) {
    if (count(kept) <= rows) break;
    kept = kept.filter((other) => other !== item);
  }
  if (count(kept) > rows) {
    const each = Math.max(1, Math.floor(rows / kept.length));
    kept = kept.map((item) => ({
      ...item,
      lines: [...item.lines.slice(0, 1), ...item.lines.slice(1).slice(-(each - 1) || item.lines.length)],
    }));
  }
  return kept.flatMap(({ lines }) => lines).slice(0, Math.max(0, rows));
}

function block(step: TtyStep, view: TtyView): readonly string[] {
  const { style } = view;
  const until = step.ended ?? view.now;
  const color = {
    cached: style.blue,
    done: style.blue,
    failed: style.red,
    cancelled: style.yellow,
    running: same,
    waiting: same,
  }[step.state];
  const word = {
    cached: 'CACHED ',
    failed: 'ERROR ',
    cancelled: 'CANCELED ',
    done: '',
    running: '',
    waiting: '',
  }[step.state];
  const lines = [
    row({ text: ` => ${word}${step.name}`, time: until - (step.started ?? until), color }, view),
  ];
  if (step.reason !== undefined && step.state !== 'cached') {
    lines.push(row({ text: ` => => because: ${step.reason}`, time: undefined, color: style.dim }, view));
  }
  for (const { event, started } of step.transfers) {
    const text = ` => => ${event.name} ${transferAmount(event, formatBytes)}`.trimEnd();
    const time = (event.done ? event.time : until) - started;
    lines.push(row({ text, time, color: event.done ? style.blue : same }, view));
  }
  if (step.state === 'running') {
    for (const line of step.log) lines.push(truncate(` => => # ${line}`, view.columns));
  }
  return lines;
}

interface Row {
  readonly text: string;
  /** Milliseconds; undefined shows none. */
  readonly time: number | undefined;
  readonly color: (text: string) => string;
}

function row({ text, time, color }: Row, view: TtyView): string {
  if (time === undefined) return color(truncate(text, view.columns));
  const right = formatSeconds(time);
  const room = view.columns - right.length - 1;
  // Narrower than any sensible terminal: the words are worth more than the time.
  if (room < 10) return color(truncate(text, view.columns));
  const left = truncate(text, room);
  return color(`${left}${' '.repeat(room - displayWidth(left) + 1)}${right}`);
}

function same(text: string): string {
  return text;
}
