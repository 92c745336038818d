import { BuildError } from './build-error.ts';

/** Milliseconds since the epoch. Handed in where a test must say what time it is. */
export type Clock = () => number;

export const systemClock: Clock = () => Date.now();

/** Latest second that a tar header, an ISO 8601 date and a JavaScript date can all hold: the end of the year 9999. */
const latest = 253_402_300_799;

/**
 * SOURCE_DATE_EPOCH in seconds (reproducible-builds.org/specs/source-date-epoch); undefined when unset or empty.
 * Throws USAGE when it is no whole number of seconds from 1970 to 9999.
 */
export function sourceDateEpoch(env: NodeJS.ProcessEnv): number | undefined {
  const text = env['SOURCE_DATE_EPOCH'];
  if (text === undefined || text === '') return undefined;
  const seconds = Number(text);
  if (!/^\d{1,12}$/.test(text) || seconds > latest) {
    throw new BuildError('USAGE', `SOURCE_DATE_EPOCH is \`${text.slice(0, 40)}\`, which is no time`, {
      hint: 'set it to whole seconds since 1970, like `git log -1 --format=%ct` prints',
    });
  }
  return seconds;
}
