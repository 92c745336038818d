import type { ExecOp, GitOp, HttpOp } from '../../graph/op.ts';
import type { LayerStore } from '../../image/layer-store.ts';
import { layerTrees } from '../../image/layer-tree.ts';
import type { Tree } from '../../image/tree.ts';
import type { OpRunners } from '../../solver/runner.ts';
import type { BaseImages } from '../base-images.ts';
import type { StepOutcome } from '../result.ts';
import type { SecretGate } from '../secret-gate.ts';
import type { Steps } from '../steps/steps.ts';
import { copyRunner } from './copy.ts';
import type { ExecSettings } from './exec.ts';
import { execRunner } from './exec.ts';
import { imageRunner } from './image.ts';
import type { LayerTimes } from './layer-times.ts';
import { mkdirRunner } from './mkdir.ts';
import { newLayers } from './new-layer.ts';
import type { OpenContext } from './sources.ts';
import { contextRunner, gitRunner, httpRunner, mergeRunner } from './sources.ts';

export interface RunnerDependencies {
  readonly bases: BaseImages;
  readonly layerStore: LayerStore;
  readonly times: LayerTimes;
  readonly openContext: OpenContext;
  readonly steps: () => Promise<Steps>;
  readonly settings: ExecSettings;
  /** undefined: the build has no secrets. */
  readonly gate: SecretGate | undefined;
  readonly fillCaches: ((op: ExecOp, steps: Steps) => Promise<void>) | undefined;
  readonly fetchHttp: (op: HttpOp, signal: AbortSignal) => Promise<Tree>;
  readonly checkoutGit: (op: GitOp, signal: AbortSignal) => Promise<Tree>;
}

/** One runner per kind of op: the only bridge between the graph and what does the work. */
export function buildRunners(dependencies: RunnerDependencies): OpRunners<StepOutcome> {
  const { layerStore, times, gate } = dependencies;
  const layers = newLayers(layerStore, times, gate);
  const trees = layerTrees();
  return {
    image: imageRunner(dependencies.bases),
    context: contextRunner(dependencies.openContext),
    http: httpRunner(dependencies.fetchHttp),
    git: gitRunner(dependencies.checkoutGit),
    exec: execRunner({ ...dependencies, layers, trees }),
    copy: copyRunner(layers, times, trees),
    mkdir: mkdirRunner(layers, times, trees),
    merge: mergeRunner,
  };
}
