import { PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG } from '../container-constants.ts';
import type { PlanItem, PlannedCall } from './plan.ts';

const F_SETFD = 2;
const FD_CLOEXEC = 1;
const SIGKILL = 9;

/** The kernel kills the process when the one that started it ends. */
export const deathTie: PlanItem = {
  name: 'prctl',
  args: [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0],
  what: 'the death tie',
};

/** Processes below it that lose their parent become children of this one, not of the first process of the machine. */
export const keepsOrphans: PlanItem = {
  name: 'prctl',
  args: [PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0],
  what: 'keeping orphans',
};

/** Orders end where a program begins: that is how its start is seen. */
export const ordersEndOnExec: PlanItem = {
  name: 'fcntl',
  args: [3, F_SETFD, FD_CLOEXEC],
  what: 'closing the orders',
};

/** execve(2) as an item of a plan. `args` begin with the program's own name. */
export function becomes(program: string, args: readonly string[], env: readonly string[]): PlannedCall {
  return { name: 'execve', args: [program, [...args, 0], [...env, 0]], what: `exec ${program}` };
}
