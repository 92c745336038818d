import type { PlanItem, PlannedCall } from '../host/agent/plan.ts';

/** How the process of a sandbox becomes the runtime, or the step itself: plans for its agent, in this order. */
export interface ContainerStart {
  readonly before: readonly PlanItem[];
  /** Gives a descriptor that somebody outside takes over before it goes on. */
  readonly listener: PlannedCall | undefined;
  readonly after: readonly PlanItem[];
  /** Programs to become: the first that is there and may be executed. */
  readonly programs: readonly PlannedCall[];
}

/** Descriptor 4 is the error output of the step; 2 is still that of tsbuild. */
export const takeErrorOutput: readonly PlanItem[] = [
  { name: 'dup3', args: [4, 2, 0], what: 'the error output' },
  { name: 'close', args: [4], what: 'the error output' },
];
