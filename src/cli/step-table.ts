import type { ExplainedStep } from '../index.ts';
import { formatSeconds } from './format.ts';
import { sanitizeLine } from './sanitize.ts';
import type { Style } from './style.ts';

/**
 * Steps and what became of them: `2 CACHED   [2/5] COPY a /`, and below it why it was run. Numbers are without `#`: that of the progress counts
 * in the order in which steps had something to say, and what is no step of the Dockerfile too.
 */
export function stepTable(steps: readonly ExplainedStep[], style: Style): string {
  const width = String(Math.max(0, ...steps.map(({ number }) => number))).length;
  return steps.map((step) => stepLines(step, width, style)).join('');
}

function stepLines(step: ExplainedStep, width: number, style: Style): string {
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
  const number = (step.number === 0 ? '' : String(step.number)).padStart(width);
  const head = `${number} ${words[verdict]}${' '.repeat(8 - plain)} ${sanitizeLine(name)}${source}${time}\n`;
  const more = [
    ...(reason === undefined ? [] : [`because: ${sanitizeLine(reason)}`]),
    ...(maybe === true ? ['it stays cached if that step gives what it gave before'] : []),
    ...(error === undefined ? [] : [`error: ${sanitizeLine(error)}`]),
  ];
  const margin = ' '.repeat(width + 10);
  return head + more.map((line) => `${margin}${line}\n`).join('');
}
