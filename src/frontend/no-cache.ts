import type { Definition } from '../graph/definition.ts';
import type { Digest } from '../oci/digest.ts';
import { BuildError } from '../util/build-error.ts';
import type { Diagnostic } from '../util/diagnostic.ts';
import { didYouMean } from '../util/suggest.ts';
import type { Instruction } from './instruction.ts';
import type { LowerOptions } from './lowering.ts';
import type { ParsedDockerfile } from './parse.ts';
import type { Stage } from './stages.ts';

/** Which instructions are run anew whatever is known of them. */
export type NoCache = (stage: Stage, instruction: Instruction) => boolean;

/** Reads --no-cache, --no-cache-filter and --no-cache-from. Throws USAGE for a line without an instruction. */
export function noCacheOf(
  parsed: ParsedDockerfile,
  { noCache, noCacheFilter = [], noCacheFrom }: LowerOptions,
): NoCache {
  const filter = noCacheFilter.map((name) => name.toLowerCase());
  const isWhole = ({ name = '', index }: Stage): boolean =>
    filter.length === 0 ? noCache === true : filter.includes(name) || filter.includes(String(index));
  if (noCacheFrom === undefined) return isWhole;
  const first = parsed.stages
    .flatMap((stage) => [stage.from, ...stage.instructions].map((instruction) => ({ stage, instruction })))
    .find(({ instruction }) => instruction.range.end.line >= noCacheFrom);
  if (first === undefined) {
    throw new BuildError(
      'USAGE',
      `--no-cache-from: no instruction stands on line ${noCacheFrom} or below it`,
      {
        hint: `${parsed.source.name} has ${parsed.source.text.split('\n').length} lines`,
      },
    );
  }
  const { start } = first.instruction.range;
  return (stage, instruction) => {
    if (isWhole(stage)) return true;
    if (stage !== first.stage) return false;
    // Triggers of a base have a text of their own; they stand where the FROM does.
    const isOwn = instruction.source === stage.from.source;
    return (isOwn ? instruction : stage.from).range.start.line >= start.line;
  };
}

/** Warnings for names of --no-cache-filter that no stage has: all of it would stay cached. */
export function unknownFilters(
  { stages }: ParsedDockerfile,
  { noCacheFilter = [] }: LowerOptions,
): readonly Diagnostic[] {
  const known = new Set(
    stages.flatMap(({ name, index }) => [String(index), ...(name === undefined ? [] : [name])]),
  );
  return noCacheFilter
    .filter((name) => name !== '' && !known.has(name.toLowerCase()))
    .map((name) => {
      const hint = didYouMean(name, known);
      return {
        severity: 'warning',
        rule: 'UnusedNoCacheFilter',
        message: `no stage is called \`${name}\`, which --no-cache-filter names`,
        ...(hint === undefined ? {} : { hint }),
      };
    });
}

/** With all that depends on a step that is run anew run anew too. */
export function withDependents({ vertices, target }: Definition): Definition {
  const anew = new Set<Digest>();
  const marked = vertices.map((vertex) => {
    const { digest, inputs, meta } = vertex;
    if (meta.ignoreCache !== true && !inputs.some((input) => anew.has(input))) return vertex;
    anew.add(digest);
    return { ...vertex, meta: { ...meta, ignoreCache: true } };
  });
  return { vertices: marked, target };
}
