import { existsSync, lstatSync, mkdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { SpecMount } from '../../src/executor/runtime-spec.ts';
import { runtimeSpec } from '../../src/executor/runtime-spec.ts';
import { seccompArch } from '../../src/executor/seccomp.ts';
import type { CommandOptions, CommandResult } from './cli.ts';
import { command } from './cli.ts';
import { binary, projectRoot } from './paths.ts';

/**
 * A container as `docker run` and most CI services make one: root with Docker's 14 capabilities and its system call filter, on runc. It has this
 * machine's programs, the checkout, and `work`, which it may write to, under its own path.
 */
export interface DockerContainer {
  /** Runs a program in a new container. */
  readonly run: (
    program: string,
    args: readonly string[],
    options?: CommandOptions,
  ) => Promise<CommandResult>;
  /** Runs the built command there. */
  readonly tsbuild: (args: readonly string[], options?: CommandOptions) => Promise<CommandResult>;
}

/** `leaveOut`: capabilities that it has not, as with `--cap-drop`. */
export function dockerContainer(
  work: string,
  { leaveOut = [] }: { readonly leaveOut?: readonly string[] } = {},
): DockerContainer {
  const run: DockerContainer['run'] = async (program, args, options = {}) => {
    const id = `tsbuild-test-${randomBytes(6).toString('hex')}`;
    const bundle = join(work, id);
    const rootfs = join(bundle, 'rootfs');
    mkdirSync(rootfs, { recursive: true });
    const bind = (path: string, access: 'ro' | 'rw'): SpecMount => ({
      destination: path,
      type: 'bind',
      source: path,
      options: ['rbind', access],
    });
    const system = ['/bin', '/sbin', '/lib', '/lib64', '/usr', '/etc', '/var/lib'];
    const mounts: SpecMount[] = [];
    for (const path of system.filter((each) => existsSync(each))) {
      if (lstatSync(path).isSymbolicLink()) symlinkSync(readlinkSync(path), join(rootfs, path));
      else mounts.push(bind(path, 'ro'));
    }
    const env = { PATH: process.env['PATH'], HOME: work, ...options.env };
    const spec = runtimeSpec({
      rootfs,
      args: [program, ...args],
      env: Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`])),
      cwd: options.cwd ?? work,
      user: { uid: 0, gid: 0, additionalGids: [0] },
      hostname: 'ci-job',
      terminal: false,
      security: 'sandbox',
      network: 'host',
      mounts: [...mounts, bind(projectRoot, 'ro'), bind(work, 'rw')],
      cgroupsPath: id,
      host: { arch: seccompArch(), cgroupV2: false, ids: undefined, capabilities: ~0n, sysMounts: [] },
    });
    const capabilities = Object.fromEntries(
      Object.entries(spec.process.capabilities).map(([name, list]) => [
        name,
        list.filter((each) => !leaveOut.includes(each)),
      ]),
    );
    const config = { ...spec, process: { ...spec.process, capabilities } };
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
    try {
      return await command('runc', ['--root', join(bundle, 'state'), 'run', '--bundle', bundle, id], {
        ...options,
        cwd: undefined,
        env: undefined,
      });
    } finally {
      rmSync(bundle, { recursive: true, force: true });
    }
  };
  return {
    run,
    tsbuild: (args, options) => run(process.execPath, [binary, ...args], options),
  };
}
