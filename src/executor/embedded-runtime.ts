import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Runtime } from './runtime.ts';

/**
 * The runtime that needs nothing but Node and util-linux: the namespaces come from the process around it (unshare), and
 * `embedded-init` reads the same config.json, builds the container around itself and becomes the step's process.
 */
export function embeddedRuntime(host: { readonly cgroupV2: boolean }): Runtime {
  // The sources run as they are, compiled or not.
  const init = fileURLToPath(new URL(`./embedded-init${extname(import.meta.url)}`, import.meta.url));
  return {
    name: 'embedded',
    makesTerminal: false,
    sealed: [process.execPath],
    namespaces: (network) => [
      ...['ipc', 'uts'],
      ...(host.cgroupV2 ? ['cgroup'] : []),
      ...(network === 'own' ? ['net'] : []),
    ],
    command: ({ directory, log }) => [process.execPath, '--no-warnings', init, directory, log],
  };
}
