import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createExecutor } from '../../src/executor/executor.ts';
import type { Executor, StepResult } from '../../src/executor/executor.ts';
import type { StepOp, StepRequest } from '../../src/executor/step.ts';
import type { ProgressEvent } from '../../src/progress/event.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { requireTool } from '../support/require.ts';

/** The runtimes that every test of the sandbox runs on. */
export const runtimes: readonly string[] = ['runc', 'embedded'];
/** For what is about the runtime itself. */
export const allRuntimes: readonly string[] = ['crun', ...runtimes];

/** Makes a root filesystem with a static busybox, two users and a group. */
export function makeRootfs(path: string): string {
  mkdirSync(join(path, 'bin'), { recursive: true });
  for (const name of ['etc', 'tmp', 'home']) mkdirSync(join(path, name));
  chmodSync(join(path, 'tmp'), 0o1777);
  const busybox = join(path, 'bin/busybox');
  copyFileSync(requireTool('busybox'), busybox);
  chmodSync(busybox, 0o755);
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  for (const applet of applets) if (applet !== 'busybox') symlinkSync('busybox', join(path, 'bin', applet));
  writeFileSync(
    join(path, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1001::/home/worker:/bin/sh\n',
  );
  writeFileSync(join(path, 'etc/group'), 'root:x:0:\nworkers:x:1001:\nvideo:x:44:root,worker\n');
  return path;
}

export interface Run extends StepResult {
  readonly stdout: string;
  readonly stderr: string;
}

export interface Bench {
  readonly root: string;
  readonly executor: Executor;
  readonly events: ProgressEvent[];
  /** Runs a shell command, or an argv, in the busybox filesystem. */
  run(command: string | readonly string[], change?: Change): Promise<Run>;
}

export type Change = Partial<Omit<StepRequest, 'op'>> & { readonly op?: Partial<StepOp> };

/** An executor with its own store below `folder`, whose steps run on one runtime. */
export function bench(
  folder: string,
  options: { readonly runtime: string; readonly layer: string; readonly env?: NodeJS.ProcessEnv },
): Bench {
  // Both characters mean something to overlayfs.
  const root = join(folder, 'store:with,marks');
  const events: ProgressEvent[] = [];
  const env = options.env ?? process.env;
  const executor = createExecutor({
    root,
    runtime: options.runtime,
    env,
    emit: (event) => events.push(event),
  });
  return {
    root,
    executor,
    events,
    async run(command, change = {}) {
      const output = { stdout: '', stderr: '' };
      const { op, ...rest } = change;
      const request = stepRequest({ layer: options.layer, command });
      const result = await executor.run({
        ...request,
        onOutput: (stream, data) => {
          output[stream] += Buffer.from(data).toString();
        },
        ...rest,
        op: { ...request.op, ...op },
      });
      return { ...result, ...output };
    },
  };
}

/** A step with nothing special about it. */
export function stepRequest(step: {
  readonly layer: string;
  readonly command: string | readonly string[];
}): StepRequest {
  const { command } = step;
  return {
    id: 'test',
    layers: [step.layer],
    binds: new Map(),
    env: [],
    secrets: { get: () => Promise.resolve(undefined) },
    sshSockets: {},
    extraHosts: [],
    onOutput: () => {},
    signal: new AbortController().signal,
    op: {
      args: typeof command === 'string' ? ['/bin/sh', '-c', command] : command,
      env: ['PATH=/bin'],
      cwd: '/',
      user: '',
      mounts: [],
      network: 'none',
      security: 'sandbox',
      hostname: 'buildkitsandbox',
      platform: hostPlatform(),
      files: [],
    },
  };
}
