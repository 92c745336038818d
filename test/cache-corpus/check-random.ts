import { rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect } from 'vitest';
import type { BuildOptions } from '../../src/index.ts';
import { BuildError } from '../../src/index.ts';
import type { RandomBuild } from './random-edits.ts';
import { firstBuild, randomEdit, sceneOf } from './random-edits.ts';
import type { Scene } from './scene.ts';
import { Workshop, withoutTimes } from './workshop.ts';

export interface RandomCheck {
  readonly edits: number;
  readonly seed: number;
  /** With RUN: puts the image `localhost/busybox` into a store. */
  readonly prepare?: (store: string) => Promise<void>;
  /** A machine that has nothing but the cache that the first exports must give the same. Not with RUN. */
  readonly elsewhere?: boolean;
}

/** How many edits are made to one build, one after the other. */
const perBuild = 25;

/** What a build gives, told without times; errors by their code. A bug is no outcome. */
async function outcome(
  workshop: Workshop,
  scene: Scene,
  { root, noCache }: { readonly root: string; readonly noCache: boolean },
): Promise<string> {
  try {
    return withoutTimes((await workshop.build(scene, root, { noCache, tree: true })).tree);
  } catch (error) {
    if (!(error instanceof BuildError) || error.code === 'INTERNAL') throw error;
    return error.code;
  }
}

const withOptions = (scene: Scene, options: BuildOptions): Scene => ({
  ...scene,
  options: { ...scene.options, ...options },
});

/** What a build gives whose store is new, with the cache that another one has exported. */
async function onColdMachine(workshop: Workshop, scene: Scene, exported: string): Promise<string> {
  const root = workshop.newStore();
  const imported = withOptions(scene, {
    cacheFrom: [{ type: 'local', src: exported }],
    noCacheFilter: [],
  });
  const given = await outcome(workshop, imported, { root, noCache: false });
  rmSync(root, { recursive: true });
  return given;
}

const isTree = (given: string): boolean => given.startsWith('[');

/** After each edit an incremental build must give what a rebuild without the cache gives, on a cold machine too if asked. Returns how many of the builds gave a tree. */
export async function checkRandomEdits({ edits, seed, prepare, elsewhere }: RandomCheck): Promise<number> {
  const run = prepare !== undefined;
  let trees = 0;
  const check = async (
    first: RandomBuild,
    changes: readonly ((build: RandomBuild) => RandomBuild)[],
  ): Promise<void> => {
    await using workshop = new Workshop();
    const [kept, other] = [workshop.newStore(), workshop.newStore()];
    for (const store of [kept, other]) await prepare?.(store);
    const exported = join(workshop.folder, 'cache');
    let now = first;
    for (const change of [(build: RandomBuild) => build, ...changes]) {
      now = change(now);
      const scene = sceneOf(now, run ? 'localhost/os' : 'localhost/base');
      const exporting = elsewhere === true ? [{ type: 'local', dest: exported, mode: 'max' } as const] : [];
      const cached = await outcome(workshop, withOptions(scene, { cacheTo: exporting }), {
        root: kept,
        noCache: false,
      });
      const fresh = await outcome(workshop, scene, { root: other, noCache: true });
      // Stages that fail side by side: either may be the first.
      if (isTree(cached) || isTree(fresh)) expect(cached, scene.dockerfile).toBe(fresh);
      if (isTree(cached)) trees += 1;
      if (elsewhere !== true || !isTree(fresh)) continue;
      expect(await onColdMachine(workshop, scene, exported), scene.dockerfile).toBe(fresh);
    }
  };
  const changes = fc.array(randomEdit(run), { minLength: perBuild, maxLength: perBuild });
  const property = fc.asyncProperty(firstBuild(run), changes, check);
  await fc.assert(property, { numRuns: Math.ceil(edits / perBuild), seed, endOnFailure: true });
  return trees;
}
