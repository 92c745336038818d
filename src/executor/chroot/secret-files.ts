import { chmodSync, chownSync, closeSync, openSync, writeSync } from 'node:fs';
import { Agent } from '../../host/agent/agent.ts';
import type { PlanItem } from '../../host/agent/plan.ts';

/** The descriptor of an agent's orders. */
const ORDERS = 3;

interface SecretFile {
  readonly fd: number;
  readonly content: Uint8Array;
}

/**
 * The secrets of a step as files of its root filesystem. Nothing keeps them off its disk: what a step finds by a name is on a filesystem that is
 * mounted, and here nothing can be mounted; a link to memory (`/proc/self/fd`, `/dev/shm`) leads nowhere from inside a chroot, and a FIFO
 * has no size, no second reader and no place to go back to. So they must not stay: a process of its own holds the files open, and empties
 * them, wherever the step has moved or linked them to, once this process is gone, be it by SIGKILL. What ends all processes at once (the end
 * of the container, of the machine) leaves them to the next build that runs a step.
 */
export class SecretFiles implements AsyncDisposable {
  readonly #files: SecretFile[] = [];
  #guard: Agent | undefined;

  /** Makes a file that `fill` gives its content. */
  make(
    place: string,
    content: Uint8Array,
    owner: { readonly mode: number; readonly uid: number; readonly gid: number },
  ): void {
    const fd = openSync(place, 'wx', 0o600);
    this.#files.push({ fd, content });
    chownSync(place, owner.uid, owner.gid);
    chmodSync(place, owner.mode);
  }

  /** Writes the contents, once somebody is there who would take them away again. */
  async fill(): Promise<void> {
    if (this.#files.length === 0) return;
    const fds = this.#files.map(({ fd }) => fd);
    const guard = new Agent({
      cwd: '/',
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', ...fds],
      // What is sent to this process's group is not meant for it.
      detached: true,
    });
    this.#guard = guard;
    await guard.execute([]);
    const what = 'emptying secrets';
    const plan: PlanItem[] = [
      // No further order comes: the read ends when this process does.
      { name: 'read', args: [ORDERS, Buffer.alloc(1), 1], what, ignore: 'any' },
      ...fds.map((_, at): PlanItem => ({
        name: 'ftruncate',
        args: [ORDERS + 1 + at, 0],
        what,
        ignore: 'any',
      })),
    ];
    guard.execute(plan).catch(() => {});
    for (const { fd, content } of this.#files)
      for (let at = 0; at < content.length;) at += writeSync(fd, content, at);
    this.#close();
  }

  #close(): void {
    for (const { fd } of this.#files.splice(0)) closeSync(fd);
  }

  /** To be called when the files are no longer there. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    const child = this.#guard?.child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => void child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}
