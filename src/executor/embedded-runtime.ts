import { CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUTS } from '../host/container-constants.ts';
import { embeddedStart } from './embedded-start.ts';
import type { Runtime } from './runtime.ts';
import { seccompArch } from './seccomp.ts';

/** The runtime that needs nothing but the kernel: the process around it makes the container itself and becomes the step's process. */
export function embeddedRuntime(host: {
  readonly cgroupV2: boolean;
  readonly ids: 'many' | 'single' | undefined;
}): Runtime {
  return {
    name: 'embedded',
    readsConfig: false,
    makesTerminal: false,
    namespaces: (network) =>
      CLONE_NEWIPC |
      CLONE_NEWUTS |
      (host.cgroupV2 ? CLONE_NEWCGROUP : 0) |
      (network === 'own' ? CLONE_NEWNET : 0),
    start: ({ spec, view, ownStreams }) => {
      const arch = seccompArch();
      if (arch === undefined) throw new Error(`there is no system call filter for ${process.arch}`);
      return embeddedStart(spec, { ...host, arch, view, ownStreams });
    },
  };
}
