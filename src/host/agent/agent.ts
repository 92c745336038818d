import type { ChildProcess, StdioOptions } from 'node:child_process';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { memoryFile } from '../syscalls.ts';
import type { PlanItem } from './plan.ts';
import { encodePlan } from './plan.ts';
import type { AgentArch } from './program.ts';
import { agentProgram } from './program.ts';

/** The architecture of the agent for this process; undefined where there is none. */
export function agentArch(): AgentArch | undefined {
  return process.arch === 'x64' || process.arch === 'arm64' ? process.arch : undefined;
}

/** A system call of a plan that failed. */
export class PlanError extends Error {
  override readonly name = 'PlanError';
  /** As in `ENOENT`. */
  readonly code: string;
  /** As in `mount`. */
  readonly syscall: string;

  constructor(what: string, errno: number, syscall: string) {
    const [code, text] = getSystemErrorMap().get(-errno) ?? [
      Object.entries(constants.errno).find(([, value]) => value === errno)?.[0] ?? `E${errno}`,
      'system call failed',
    ];
    super(`${what}: ${text} (${code})`);
    this.code = code;
    this.syscall = syscall;
  }
}

let program: number | undefined;
const living = new Set<number>();

/** Is it the process of an agent that this process has started? */
export function isAgent(pid: number): boolean {
  return living.has(pid);
}

/**
 * A process that makes the system calls it is told to make, and then becomes another program. It starts with nothing but
 * the standard streams, descriptor 3 (its orders) and those in `stdio` after it, and ends when this process lets go of it.
 */
export class Agent {
  readonly child: ChildProcess;
  /** There is none where not even the pipes of the process could be made. */
  readonly #orders: Socket | undefined;
  readonly #failure: Promise<Error>;
  readonly #arch: AgentArch;
  #answer: PromiseWithResolvers<Buffer | undefined> | undefined;
  #received: Buffer = Buffer.alloc(0);
  #closed = false;

  /**
   * `stdio` is that of spawn(); the fourth must be 'pipe'. Throws an Error on an architecture that has no agent. Where the machine gives no process,
   * `execute` throws the error of spawn().
   */
  constructor(options: {
    readonly cwd: string;
    readonly stdio: StdioOptions;
    readonly detached: boolean;
    readonly serialization?: 'advanced';
  }) {
    const arch = agentArch();
    if (arch === undefined) throw new Error(`there is no agent for ${process.arch}`);
    this.#arch = arch;
    program ??= memoryFile('tsbuild-agent', agentProgram(arch));
    this.child = spawn(`/proc/${process.pid}/fd/${program}`, [], {
      ...options,
      env: {},
      argv0: 'tsbuild-agent',
    });
    // Without a listener it would end this process.
    this.#failure = new Promise((resolve) => void this.child.once('error', resolve));
    const { pid, stdio } = this.child as Partial<ChildProcess>;
    if (pid !== undefined) {
      living.add(pid);
      this.child.once('exit', () => living.delete(pid));
    }
    this.#orders = stdio?.[3] as Socket | undefined;
    this.#orders?.on('error', () => {});
    this.#orders?.on('data', (data) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#settle();
    });
    this.#orders?.once('close', () => {
      this.#closed = true;
      this.#settle();
    });
  }

  #settle(): void {
    const answer = this.#answer;
    if (answer === undefined || (this.#received.length < 16 && !this.#closed)) return;
    this.#answer = undefined;
    if (this.#received.length < 16) return answer.resolve(undefined);
    answer.resolve(this.#received.subarray(0, 16));
    this.#received = this.#received.subarray(16);
  }

  /**
   * Makes the calls in their order; returns the last result, or undefined where the process became another program. Throws a PlanError for the
   * first that fails.
   */
  async execute(plan: readonly PlanItem[]): Promise<bigint | undefined> {
    if (this.child.pid === undefined) throw await this.#failure;
    const message = encodePlan(plan, this.#arch);
    const answer = Promise.withResolvers<Buffer | undefined>();
    this.#answer = answer;
    this.#orders?.write(message);
    this.#settle();
    const bytes = await answer.promise;
    if (bytes === undefined) return undefined;
    const result = bytes.readBigInt64LE(0);
    const item = plan[Number(bytes.readBigInt64LE(8)) / 64];
    if (item === undefined) return result;
    const { name, what } = item === 'fork' ? { name: item, what: 'making a process' } : item;
    throw new PlanError(what, -Number(result), name);
  }

  /** The process that the agent has forked, as this process sees it; undefined once it is gone. */
  forked(): number | undefined {
    const { pid } = this.child;
    try {
      return (
        Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]) || undefined
      );
    } catch {
      return undefined;
    }
  }

  /** An agent that still waits for orders ends. */
  letGo(): void {
    this.#orders?.destroy();
  }
}
