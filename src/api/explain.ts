import { resolve } from 'node:path';
import type { ProgressEvent } from '../progress/event.ts';
import { defaultStoreRoot } from '../store/store.ts';
import type { BuildExplanation, BuildStep, ExplainBuildOptions, ExplainedStep } from './build-record.ts';
import { sourceOf } from './explaining.ts';
import { shortSource } from './history/build-files.ts';
import { StepCollector } from './history/step-collector.ts';
import { chooseSteps, findBuild } from './history/find-build.ts';
import { prepareBuild } from './prepare-build.ts';
import { withSession } from './session.ts';
import { withMaskedSecrets } from './with-masked-secrets.ts';

/**
 * Tells of each step of a build whether it was cached, and where from, or why it was run: of the last build, or with `dryRun` of one that
 * has not run. A dry run runs nothing and records nothing; it downloads what keys need: manifests, configs and what ADD names.
 * Errors: BUILD_NOT_FOUND, and for a dry run those of `build`.
 */
export async function explain(options: ExplainBuildOptions): Promise<BuildExplanation> {
  if (options.dryRun === true) {
    const steps = await dryRun(options);
    return { build: undefined, steps: chooseSteps(steps.map(explained).filter(isStep), options.step) };
  }
  const root = resolve(options.root ?? defaultStoreRoot(options.env ?? process.env));
  const isNamed = options.context !== undefined || options.dockerfile !== undefined;
  const source = isNamed && options.build === undefined ? shortSource(sourceOf(options)) : undefined;
  const { steps, ...build } = findBuild(root, options.build, source);
  return { build, steps: chooseSteps(steps.map(explained).filter(isStep), options.step, build) };
}

async function dryRun(options: ExplainBuildOptions): Promise<readonly BuildStep[]> {
  const collector = new StepCollector();
  const onEvent = (event: ProgressEvent): void => {
    if (event.type === 'vertex' && event.id.startsWith('sha256:')) collector.event(event);
    // A step that is told as running is not: nobody is to wait for its end.
    else options.onEvent?.(event);
  };
  await withMaskedSecrets({ ...options, onEvent }, (masked, needles) =>
    withSession(masked, async (session) => {
      await using prepared = await prepareBuild(masked, session, { needles });
      collector.planned(prepared.plan.lowered.definition);
      await prepared.solve(undefined, { dry: true });
    }),
  );
  return collector.steps;
}

function explained(step: BuildStep): ExplainedStep {
  const { state, miss } = step;
  const verdict = state === 'running' || state === 'done' ? 'run' : state;
  // Told as running and never ended: it would be, in a dry run, or it was when the build was killed.
  const maybe = state === 'running' && step.started === undefined && miss?.kind === 'parent';
  return { ...step, verdict, ...(maybe ? { maybe: true } : {}) };
}

function isStep({ number, state }: ExplainedStep): boolean {
  return number > 0 || state === 'failed';
}
