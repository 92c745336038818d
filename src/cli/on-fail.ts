import { BuildError } from '../util/build-error.ts';
import type { BuildOptions, BuildOutcome } from '../index.ts';
import { hasColor, hasTerminal } from './context.ts';
import type { CliContext } from './context.ts';
import { sanitizeLine } from './sanitize.ts';
import { styleFor } from './style.ts';

/** Makes the build's handler of a failed step; `end` ends the display of progress. */
export type OnFailure = (end: (outcome: BuildOutcome) => void) => BuildOptions['onFailedStep'];

/** `--on-fail=shell`. Throws USAGE where there is no terminal for it, before anything runs. */
export function shellOnFailure(context: CliContext): OnFailure {
  if (!hasTerminal(context)) {
    throw new BuildError('USAGE', '`--on-fail=shell` needs a terminal on stdin and stdout', {
      hint: 'leave it out here; `tsbuild shell Dockerfile:LINE --before` opens one later',
    });
  }
  const style = styleFor(hasColor(context.stderr, context.env));
  return (end) => async (step) => {
    end({ ok: false, error: step.error });
    const { exitCode } = step.error.details;
    const status = typeof exitCode === 'number' ? ` with exit code ${exitCode}` : '';
    context.stderr.write(
      `${style.bold(`${sanitizeLine(step.name)} failed${status}.`)}\n` +
        'This is a shell in its place: files, environment and mounts are those of the step. `exit` ends the build.\n',
    );
    await step.shell({ interactive: true, tty: true }).catch((error: unknown) => {
      // What the step failed with is what the build fails with.
      context.stderr.write(
        `no shell can be opened: ${error instanceof Error ? error.message : String(error)}\n`,
      );
    });
  };
}
