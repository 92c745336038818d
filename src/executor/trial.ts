import { randomUUID } from 'node:crypto';
import { lstatSync, mkdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { hostPlatform } from '../oci/platform.ts';
import type { ExecutionHost } from './execute.ts';
import { BuildError } from '../util/build-error.ts';
import { machineError } from '../util/system-error.ts';
import { execute } from './execute.ts';
import { makeSnapshot } from './snapshot.ts';
import type { Runtime } from './runtime.ts';

/** Directories that hold the host's programs and their libraries. */
const programDirectories: readonly string[] = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'usr', 'nix', 'gnu'];
const TRIAL_LIMIT = 20_000;

/**
 * Runs a command once in the real sandbox: a root filesystem with the host's own programs, read-only. It has to say a word that stands in
 * config.json alone: a program that does nothing and ends well is no runtime. undefined when it worked, else what went wrong. Nothing
 * remains. Throws DISK_FULL, and what `machineError` tells.
 */
export async function tryRuntime(runtime: Runtime, host: ExecutionHost): Promise<string | undefined> {
  const home = makeSnapshot(host.root);
  const layer = join(home.directory, 'layer');
  const volumes = [];
  const word = randomUUID();
  let output = '';
  try {
    mkdirSync(layer);
    for (const name of programDirectories) {
      const path = `/${name}`;
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat?.isSymbolicLink() === true) symlinkSync(readlinkSync(path), join(layer, name));
      else if (stat?.isDirectory() === true) volumes.push({ source: path, target: path, readonly: true });
    }
    const result = await execute(
      {
        id: 'trial',
        op: {
          args: ['/bin/sh', '-c', `echo ${word}`],
          env: [`PATH=${host.path}`],
          ...{ cwd: '/', user: '', mounts: [], files: [], hostname: 'trial', platform: hostPlatform() },
          network: 'none',
          security: 'sandbox',
        },
        layers: [layer],
        binds: new Map(),
        env: [],
        secrets: { get: () => Promise.resolve(undefined) },
        sshSockets: {},
        extraHosts: [],
        onOutput: (_stream, data) => {
          output = (output + Buffer.from(data).toString()).slice(-1000);
        },
        signal: AbortSignal.timeout(TRIAL_LIMIT),
      },
      { runtime, host, volumes },
    );
    await result.discard();
    if (result.exitCode !== 0) return `it ended with status ${result.exitCode}: ${output.trim()}`;
    return output.includes(word) ? undefined : 'it ended without having run the command';
  } catch (thrown) {
    const error = machineError(thrown);
    // A full disk says nothing about the runtime, nor does a machine that has nothing left.
    if (error !== thrown || (error instanceof BuildError && error.code === 'DISK_FULL')) throw error;
    return error instanceof Error ? error.message : String(error);
  } finally {
    await home.discard();
  }
}
