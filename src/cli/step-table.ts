import type { ExplainedStep } from '../index.ts';
import { formatSeconds } from './format.ts';
import { sanitizeLine } from './sanitize.ts';
import type { Style } from './style.ts';

/** One step and what became of it: `CACHED [2/5] COPY a /`, and below it why it was run. */
export function stepLines(step: ExplainedStep, style: Style): string {
  const { verdict, name, from, reason, maybe, started, ended, error } = step;
  const words: Readonly<Record<ExplainedStep['verdict'], string>> = {
    cached: style.green('CACHED'),
    run: maybe === true ? style.yellow('RUN?') : style.yellow('RUN'),
    failed: style.red('FAILED'),
    cancelled: 'CANCELED',
    waiting: 'NOT RUN',
  };
  const plain = { cached: 6, run: maybe === true ? 4 : 3, failed: 6, cancelled: 8, waiting: 7 }[verdict];
  const time = started === undefined || ended === undefined ? '' : ` ${formatSeconds(ended - started)}`;
  const source = from === undefined ? '' : ` (from ${sanitizeLine(from)})`;
  const head = `#${step.number} ${words[verdict]}${' '.repeat(8 - plain)} ${sanitizeLine(name)}${source}${time}\n`;
  const more = [
    ...(reason === undefined ? [] : [`because: ${sanitizeLine(reason)}`]),
    ...(maybe === true ? ['it stays cached if that step gives what it gave before'] : []),
    ...(error === undefined ? [] : [`error: ${sanitizeLine(error)}`]),
  ];
  const margin = ' '.repeat(`#${step.number} `.length + 9);
  return head + more.map((line) => `${margin}${line}\n`).join('');
}

/** Each step as one JSON object a line. */
export function stepJson(step: ExplainedStep): string {
  return `${JSON.stringify(step)}\n`;
}
