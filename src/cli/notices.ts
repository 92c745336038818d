import type { Emit } from '../index.ts';
import { hasColor } from './context.ts';
import type { CliContext } from './context.ts';
import { reportNotice } from './report.ts';

/** For verbs that show no progress: warnings and notes, each on stderr when it comes. */
export function notices({ stderr, env }: CliContext): Emit {
  return (event) => {
    if (event.type === 'diagnostic') stderr.write(reportNotice(event.diagnostic, hasColor(stderr, env)));
  };
}
