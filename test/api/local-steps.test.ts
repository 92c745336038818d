import { expect, test } from 'vitest';
import { localSteps } from '../../src/api/steps/local-steps.ts';
import type { Session } from '../../src/api/session.ts';
import type { StepTask } from '../../src/api/steps/steps.ts';
import type { Executor, StepResult } from '../../src/executor/executor.ts';
import type { LayerStore } from '../../src/image/layer-store.ts';
import type { ProgressEvent } from '../../src/progress/event.ts';

test('what a step has left and cannot be removed is a warning, once, and no rejection that nobody handles', async () => {
  const events: ProgressEvent[] = [];
  let tries = 0;
  const discard = (): Promise<void> => {
    tries += 1;
    return Promise.reject(new Error(`EBUSY: snapshots/${tries}`));
  };
  const executor = {
    run: ({ id }: { readonly id: string }) =>
      Promise.resolve({ exitCode: Number(id), upper: '/nowhere', discard } satisfies StepResult),
  } as unknown as Executor;
  const layerStore = { fromDirectory: () => Promise.resolve('a layer') } as unknown as LayerStore;
  const session = {
    emit: (event: ProgressEvent) => events.push(event),
    store: { root: '/nowhere' },
  } as unknown as Session;
  const steps = localSteps({ executor, layerStore, session });
  const run = (id: string): ReturnType<typeof steps.run> =>
    steps.run({ id, layers: [], binds: new Map() } as unknown as StepTask, {
      caches: undefined,
      onOutput: () => {},
      signal: new AbortController().signal,
      keepFailed: id === '2',
    });
  expect(await run('0')).toMatchObject({ exitCode: 0, layer: 'a layer' });
  expect(await run('1')).toMatchObject({ exitCode: 1, layer: undefined });
  const kept = await run('2');
  await kept.failed?.[Symbol.asyncDispose]();
  await steps[Symbol.asyncDispose]();
  expect(tries).toBe(3);
  expect(events).toEqual([
    {
      type: 'diagnostic',
      diagnostic: {
        severity: 'warning',
        rule: 'StepLeftovers',
        message: 'what a step has left cannot be removed: EBUSY: snapshots/1',
        hint: 'the next build tries it again',
      },
    },
  ]);
});
