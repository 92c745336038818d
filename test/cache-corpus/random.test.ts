import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BuildError } from '../../src/index.ts';
import { firstBuild, randomEdit, sceneOf } from './random-edits.ts';
import type { Scene } from './scene.ts';
import { Workshop, withoutTimes } from './workshop.ts';

const edits = 2000;
const perBuild = 25;

/** What a build gives, told without times; errors by their code. */
async function outcome(workshop: Workshop, scene: Scene, root: string, noCache: boolean): Promise<string> {
  try {
    return withoutTimes((await workshop.build(scene, root, { noCache, tree: true })).tree);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;

    return error.code;
  }
}

test(
  `Property: after each of ${edits} random edits a build gives what a rebuild without the cache gives`,
  { timeout: 900_000 },
  async () => {
    let seen = 0;
    let trees = 0;
    const check = async (
      first: Parameters<typeof sceneOf>[0],
      changes: readonly ((one: typeof first) => typeof first)[],
    ): Promise<void> => {
      await using workshop = new Workshop();
      const kept = workshop.newStore();
      const other = workshop.newStore();
      let now = first;
      for (const change of [(one: typeof first) => one, ...changes]) {
        now = change(now);
        const scene = sceneOf(now);
        const cached = await outcome(workshop, scene, kept, false);
        expect(cached, scene.dockerfile).toBe(await outcome(workshop, scene, other, true));
        seen += 1;
        if (cached.startsWith('[')) trees += 1;
      }
    };
    const property = fc.asyncProperty(
      firstBuild,
      fc.array(randomEdit, { minLength: perBuild, maxLength: perBuild }),
      check,
    );
    await fc.assert(property, { numRuns: edits / perBuild, seed: 5, endOnFailure: true });
    expect(seen).toBeGreaterThanOrEqual(edits);
    // Most of them can be built.
    expect(trees).toBeGreaterThan(edits / 2);
  },
);
