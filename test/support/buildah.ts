import { join } from 'node:path';
import type { CommandResult } from './cli.ts';
import { command, must } from './cli.ts';

/** A buildah with storage of its own, apart from the host's. */
export interface Buildah {
  /** Takes an image of an OCI layout under a name (`localhost/x`). */
  readonly load: (layout: string, name: string) => Promise<void>;
  /** Builds in docker format and writes the result as an OCI layout. */
  readonly build: (options: BuildahBuild) => Promise<void>;
  /** Removes its containers and mounts; call before the folder is removed. */
  readonly close: () => Promise<void>;
}

export interface BuildahBuild {
  readonly context: string;
  readonly args: readonly string[];
  readonly tag: string;
  readonly layout: string;
}

/** Puts buildah's storage below `folder`. */
export function buildah(folder: string): Buildah {
  const storage = [
    '--root',
    join(folder, 'root'),
    '--runroot',
    join(folder, 'run'),
    '--storage-driver',
    'overlay',
  ];
  const run = (args: readonly string[]): Promise<CommandResult> => command('buildah', [...storage, ...args]);
  return {
    load: async (layout, name) => {
      const place = `overlay@${join(folder, 'root')}+${join(folder, 'run')}`;
      await must(command('skopeo', ['copy', '-q', `oci:${layout}`, `containers-storage:[${place}]${name}`]));
    },
    build: async ({ context, args, tag, layout }) => {
      const how = [
        '--format',
        'docker',
        '--isolation',
        'oci',
        '--runtime',
        'runc',
        '--network',
        'host',
        '--layers',
      ];
      await must(
        run(['build', ...how, '--identity-label=false', '--pull-never', ...args, '-t', tag, context]),
      );
      await must(run(['push', '-q', '--format', 'v2s2', tag, `oci:${layout}:result`]));
    },
    close: async () => {
      await run(['rm', '--all']);
      await run(['rmi', '--all', '--force']);
    },
  };
}
