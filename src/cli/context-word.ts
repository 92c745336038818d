import { BuildError } from '../util/build-error.ts';

/**
 * The build context among the words that are no options, and the engine of `--load docker .`, which looks like one of
 * them. There must be exactly one context, as for docker. Throws USAGE.
 */
export function contextWord(
  words: readonly string[],
  { verb = 'build', load }: { readonly verb?: string; readonly load?: string | undefined } = {},
): { readonly context: string; readonly engine: string | undefined } {
  const [first, second] = words;
  if (first === undefined) {
    throw new BuildError('USAGE', 'the build context is missing', {
      hint: `add a directory, such as the current one: \`tsbuild ${verb} .\``,
    });
  }
  if (second === undefined) return { context: first, engine: undefined };
  const engine =
    load === '' && words.length === 2
      ? words.find((word) => word === 'docker' || word === 'podman')
      : undefined;
  if (engine !== undefined) return { context: engine === first ? second : first, engine };
  throw new BuildError('USAGE', `there can be one build context, not ${words.length}: ${words.join(' ')}`, {
    hint: 'an option may lack its dashes, or a value its quotes; a command stands before its options',
  });
}
