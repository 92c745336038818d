import { definitionToDot, definitionToJson, definitionToMermaid, formatDefinition } from '../graph/format.ts';
import { BuildError } from '../util/build-error.ts';
import { createBaseImages } from './base-images.ts';
import { openContexts } from './contexts.ts';
import { makePlan } from './plan.ts';
import { withSession } from './session.ts';
import type { BuildOptions, GraphFormat } from './types.ts';

/** The layer DAG that a build with these options would solve, as text. Resolves base images; runs nothing. */
export function graph(
  options: BuildOptions & { readonly format?: GraphFormat | undefined },
): Promise<string> {
  return withSession(options, async (session) => {
    await using contexts = await openContexts(options, session, () => session.store.tempDir());
    const bases = createBaseImages(session, session.layerStore(), options.pull);
    const { lowered } = await makePlan(options, session, { contexts, bases });
    const { definition } = lowered;
    switch (options.format ?? 'text') {
      case 'text':
        return formatDefinition(definition);
      case 'json':
        return definitionToJson(definition);
      case 'dot':
        return definitionToDot(definition);
      case 'mermaid':
        return definitionToMermaid(definition);
      default:
        throw new BuildError('USAGE', `no such graph format: ${String(options.format)}`);
    }
  });
}
