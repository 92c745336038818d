import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { Agent, PlanError } from '../host/agent/agent.ts';
import { deathTie, keepsOrphans } from '../host/agent/items.ts';
import type { PlanItem } from '../host/agent/plan.ts';
import * as sys from '../host/container-constants.ts';
import { pipe } from '../host/syscalls.ts';
import { BuildError } from '../util/build-error.ts';
import { exhaustion } from '../util/system-error.ts';
import type { ContainerStart } from './container-start.ts';
import type { OnOutput } from './step.ts';

// The process around one step: an agent in its own mount and pid namespaces. It is killed by the kernel when tsbuild dies, and takes everything
// with it: processes by the pid namespace, mounts by the mount namespace. It makes the mounts that it is told to make, then
// becomes the runtime. Descriptor 4 is the error output of the step.

const SIGKILL = 9;

export interface SandboxOptions {
  /** Working directory: what mounts name is relative to it. */
  readonly directory: string;
  /** Further namespaces than mount and pid: CLONE_NEW* flags. 'none': not even those, and `onEnd` has to end what is left of it. */
  readonly namespaces: number | 'none';
  /** 'inherit' hands this process's own streams through, a number is a descriptor to have instead; onOutput is not called then. */
  readonly stdio: 'capture' | 'inherit' | number;
  readonly onOutput: OnOutput;
  /** Called when its first process has ended. */
  readonly onEnd?: (() => Promise<void>) | undefined;
}

/** A started sandbox, before and after it runs its command. */
export class SandboxProcess {
  readonly #agent: Agent;
  readonly #exit: Promise<number>;
  readonly #closed: Promise<unknown>;
  readonly #options: SandboxOptions;
  readonly #outputs: Socket[] = [];
  #running = false;
  #inner: number | undefined;

  constructor(options: SandboxOptions) {
    this.#options = options;
    const capture = options.stdio === 'capture';
    // Its standard input is at its end.
    const input = capture ? pipe() : undefined;
    const out = capture ? pipe() : undefined;
    const err = capture ? pipe() : undefined;
    const own = typeof options.stdio === 'number' ? options.stdio : undefined;
    this.#agent = new Agent({
      cwd: options.directory,
      stdio: [
        input?.read ?? own ?? 'inherit',
        out?.write ?? own ?? 'inherit',
        err?.write ?? own ?? 'inherit',
        'pipe',
        err?.write ?? own ?? 2,
      ],
      // Its own session: Ctrl-C reaches tsbuild alone, which then decides.
      detached: capture,
    });
    if (input !== undefined) for (const end of Object.values(input)) closeSync(end);
    const exit = Promise.withResolvers<number>();
    this.#exit = exit.promise;
    this.#agent.child.once('error', () => exit.resolve(127));
    this.#agent.child.once('exit', (code) => exit.resolve(code ?? 128 + SIGKILL));
    const ended = this.#exit.then(() => options.onEnd?.());
    this.#closed = Promise.all([ended, this.#read('stdout', out), this.#read('stderr', err)]);
  }

  #read(
    stream: 'stdout' | 'stderr',
    ends: { readonly read: number; readonly write: number } | undefined,
  ): Promise<void> {
    if (ends === undefined) return Promise.resolve();
    closeSync(ends.write);
    const socket = new Socket({ fd: ends.read, readable: true, writable: false });
    this.#outputs.push(socket);
    socket.on('data', (data) => {
      if (!this.#running) return;
      const ready = this.#options.onOutput(stream, data);
      if (!(ready instanceof Promise)) return;
      socket.pause();
      const goOn = (): void => void socket.resume();
      ready.then(goOn, goOn);
    });
    socket.on('error', () => {});
    return new Promise((resolve) => {
      socket.once('close', () => resolve());
    });
  }

  /** Makes the namespaces. Throws SANDBOX_UNAVAILABLE with what the kernel refused. */
  async ready(): Promise<void> {
    if (this.#options.namespaces === 'none') {
      await this.#execute([deathTie, keepsOrphans, 'fork', deathTie]);
      this.#inner = this.#agent.forked();
      return;
    }
    const flags = sys.CLONE_NEWNS | sys.CLONE_NEWPID | this.#options.namespaces;
    const proc = sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC;
    await this.#execute([
      deathTie,
      { name: 'unshare', args: [flags], what: 'making namespaces' },
      {
        name: 'mount',
        args: ['none', '/', null, sys.MS_REC | sys.MS_PRIVATE, null],
        what: 'making mounts private',
      },
      // The first process of the pid namespace. The kernel ends all others in it together with this one.
      'fork',
      deathTie,
      { name: 'mount', args: ['proc', '/proc', 'proc', proc, null], what: 'mounting /proc' },
    ]);
    this.#inner = this.#agent.forked();
  }

  /** A process in the sandbox's namespaces, as this process sees it. */
  get pid(): number {
    return this.#agent.child.pid ?? -1;
  }

  /** Where the sandbox's view of an absolute path is for this process. */
  view(path: string): string {
    return `/proc/${this.pid}/root${path}`;
  }

  /** Mounts an overlay on a directory; names are relative to the sandbox's directory. */
  async overlay(options: string, target: string): Promise<void> {
    const args = ['overlay', target, 'overlay', 0, options];
    await this.#execute([{ name: 'mount', args, what: 'mounting an overlay' }]);
  }

  /** Mounts a filesystem in memory: private to root, and gone with the sandbox. */
  async tmpfs(target: string): Promise<void> {
    const flags = sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC;
    await this.#execute([
      { name: 'mount', args: ['tmpfs', target, 'tmpfs', flags, 'mode=0700'], what: 'mounting a tmpfs' },
    ]);
  }

  async #execute(plan: readonly PlanItem[]): Promise<bigint | undefined> {
    try {
      const result = await this.#agent.execute(plan);
      if (result === undefined) throw new Error('it ended early');
      return result;
    } catch (error) {
      await this.kill();
      if (exhaustion(error) !== undefined) throw error;
      throw new BuildError(
        'SANDBOX_UNAVAILABLE',
        `the sandbox of a step does not work here: ${(error as Error).message}`,
        { hint: 'run `tsbuild doctor` to see what this host lacks', cause: error },
      );
    }
  }

  /**
   * Becomes the runtime and waits for its end: 0 to 255, 128 + n for signal n. `guard` gets the descriptor that `start` lists as its
   * listener, and the process that has it. Throws a PlanError, all processes dead, when it cannot become any of the programs.
   */
  async run(start: ContainerStart, guard?: (fd: number, pid: number) => void): Promise<number> {
    try {
      await this.#agent.execute(start.before);
      if (start.listener !== undefined) {
        const fd = await this.#agent.execute([start.listener]);
        if (fd !== undefined && this.#inner !== undefined) guard?.(Number(fd), this.#inner);
      }
      await this.#agent.execute(start.after);
      this.#running = true;
      await this.#become(start.programs);
    } catch (error) {
      await this.kill();
      throw error;
    }
    await this.#closed;
    return this.#exit;
  }

  async #become(programs: ContainerStart['programs']): Promise<void> {
    let failure: PlanError | undefined;
    for (const program of programs) {
      try {
        await this.#agent.execute([program]);
        return;
      } catch (error) {
        if (!(error instanceof PlanError)) throw error;
        if (!['ENOENT', 'ENOTDIR', 'EACCES'].includes(error.code)) throw error;
        // As execvp(3): what may not be executed counts for more than what is not there.
        if (failure === undefined || error.code === 'EACCES') failure = error;
      }
    }
    throw failure ?? new PlanError('exec', 2, 'execve');
  }

  /** Kills everything inside and waits until it is gone. Does nothing when it is over. */
  async kill(): Promise<void> {
    this.#running = false;
    const { child } = this.#agent;
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      // The namespace's first process: its parent ends only after the kernel has ended all others in the namespace.
      const inner = this.#inner ?? this.#agent.forked();
      try {
        process.kill(inner ?? child.pid, 'SIGKILL');
      } catch {
        child.kill('SIGKILL');
      }
    }
    this.#agent.letGo();
    // Whoever reads the output may be slow; a step that is given up does not wait for them.
    for (const socket of this.#outputs) socket.resume();
    await this.#closed;
  }
}
