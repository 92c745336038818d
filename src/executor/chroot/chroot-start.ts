import { ordersEndOnExec } from '../../host/agent/items.ts';
import type { ContainerStart } from '../container-start.ts';
import { takeErrorOutput } from '../container-start.ts';
import { limits, ownSession, programs, rights, standardStreams } from '../process-start.ts';
import type { StepProcess } from '../process-start.ts';

/** How the process of a step goes into its root filesystem, which is its working directory, and becomes the step. */
export function chrootStart(
  step: StepProcess,
  { rootfs, ownStreams }: { readonly rootfs: string; readonly ownStreams: boolean },
): ContainerStart {
  return {
    before: [
      ...takeErrorOutput,
      { name: 'umask', args: [0o022], what: 'umask' },
      { name: 'chroot', args: [rootfs], what: 'changing the root directory' },
      // Nothing of it may lead outside.
      { name: 'chdir', args: ['/'], what: 'changing the root directory' },
      ...limits(step),
      ...standardStreams(step, { ownStreams, giveAway: true }),
      ...ownSession(step),
    ],
    listener: undefined,
    after: [...rights(step, { identity: true }), ordersEndOnExec],
    programs: programs(step),
  };
}
