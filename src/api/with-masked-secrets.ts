import type { ProgressEvent } from '../progress/event.ts';
import type { BuildError } from '../util/build-error.ts';
import type { Needle } from '../util/secret-needles.ts';
import { secretValues } from './secrets.ts';
import type { BuildOptions } from './types.ts';

/**
 * Runs a build whose events and errors show `****` for its secrets (S-EN-5). `work` gets the options with the events masked, and what to
 * search for; without secrets the options as they are, and undefined.
 */
export async function withMaskedSecrets<O extends BuildOptions, T>(
  options: O,
  work: (options: O, needles: readonly Needle[] | undefined) => Promise<T>,
): Promise<T> {
  if ((options.secrets ?? []).length + (options.ssh ?? []).length === 0) return work(options, undefined);
  const [{ needlesOf, shortestLeak }, { SecretSearch }, { maskedError, maskedEvents }, { masked }] =
    await Promise.all([
      import('../util/secret-needles.ts'),
      import('../util/secret-search.ts'),
      import('./masked.ts'),
      import('../util/secret-mask.ts'),
    ]);
  const values = await secretValues(options, options.env ?? process.env);
  const needles = values.flatMap(({ id, bytes }) => needlesOf(id, bytes));
  const search = new SecretSearch(needles);
  const onEvent = maskedEvents(options.onEvent ?? ((): void => undefined), search);
  for (const { id, bytes } of values) {
    if (bytes.length > 0 && Buffer.from(bytes).toString('latin1').trim().length < shortestLeak)
      onEvent(tooShort(id, shortestLeak));
  }
  try {
    const { onFailedStep } = options;
    const shown: BuildOptions['onFailedStep'] =
      onFailedStep &&
      ((step) =>
        onFailedStep({
          ...step,
          name: masked(search, step.name),
          error: maskedError(step.error, search) as BuildError,
        }));
    return await work({ ...options, onEvent, onFailedStep: shown }, needles);
  } catch (error) {
    throw maskedError(error, search);
  }
}

/** So that nobody relies on the search. */
function tooShort(id: string, shortest: number): ProgressEvent {
  const message = `the image is not searched for the secret \`${id}\`, which is shorter than ${shortest} bytes`;
  return { type: 'diagnostic', diagnostic: { severity: 'note', rule: 'SecretTooShort', message } };
}
