import { seededRandom } from './random.ts';

/** Set for the full numbers: `npm run test:long`. */
const isLong = process.env['TSBUILD_TEST_LONG'] === '1';

/** How often a test with random input tries: `full` is what the project promises, `short` what every run of the tests does. */
export function tries({ full, short }: { readonly full: number; readonly short: number }): number {
  return isLong ? full : short;
}

/**
 * Runs a test with a seed that is another one each time, so that many short runs see what one long run does. A failure tells it:
 * TSBUILD_TEST_SEED repeats the run.
 */
export async function withSeed(work: (seed: number, random: () => number) => Promise<void>): Promise<void> {
  const given = process.env['TSBUILD_TEST_SEED'];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  try {
    await work(seed, seededRandom(seed));
  } catch (error) {
    if (error instanceof Error) error.message += `\n\nAgain with TSBUILD_TEST_SEED=${seed}`;
    throw error;
  }
}
