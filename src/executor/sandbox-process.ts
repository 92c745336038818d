import type { ChildProcess, StdioOptions } from 'node:child_process';
import { spawn } from 'node:child_process';
import { closeSync, readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { findProgram } from '../host/probe.ts';
import { pipe } from '../host/syscalls.ts';
import { BuildError } from '../util/build-error.ts';
import type { OnOutput } from './step.ts';

// The process around one step: `setpriv | unshare | sh`, one process each by exec. It lives in its own mount and pid
// namespaces, is killed by the kernel when tsbuild dies, and takes everything with it: processes by the pid namespace, mounts
// by the mount namespace. The shell makes the mounts that it is told to make over descriptor 3, then becomes the runtime.
// Descriptor 2 is for what the host's programs have to say, descriptor 4 is the error output of the step.
// Invariant: nothing is ever interpolated into the script; names that travel over descriptor 3 are ours and plain.
//
// The first line tells tsbuild that all death ties are in place; if tsbuild is gone by then, the read meets the end of the
// channel and the shell leaves.
const script = `
reply() { printf '%s\\n' "$1" >&3 || exit 125; }
reply 0
while IFS=' ' read -r verb first second <&3; do
  case $verb in
    overlay) mount -n -t overlay -o "$first" overlay "$second"; reply $? ;;
    tmpfs) mount -n -t tmpfs -o "$first" tmpfs "$second"; reply $? ;;
    seal) mount -n --bind -o ro,nosuid,nodev "$first" "$first"; reply $? ;;
    unmount) umount "$first"; reply $? ;;
    copy) cp -a -- "$first/." "$second/"; reply $? ;;
    run) cd / && umask 022 && exec "$@" 2>&4 3>&- 4>&- ;;
    guarded) cd / && umask 022 && exec "$@" 2>&4 4>&- ;;
    *) exit 125 ;;
  esac
done
exit 125
`;

/** Of what the host's programs say, the last so many characters count. */
const longestMessage = 4000;

export interface SandboxOptions {
  /** Working directory of the shell: what its commands name is relative to it. */
  readonly directory: string;
  /** The runtime's command line. */
  readonly command: readonly string[];
  /** Further namespaces than mount and pid, as options of unshare(1): `net`, `ipc`, `uts`, `cgroup`. */
  readonly namespaces: readonly string[];
  readonly path: string;
  /** 'inherit' hands this process's own streams through, a number is a descriptor to have instead; onOutput is not called then. */
  readonly stdio: 'capture' | 'inherit' | number;
  readonly onOutput: OnOutput;
}

/** A started sandbox, before and after it runs its command. */
export class SandboxProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<number>;
  readonly #closed: Promise<unknown>;
  readonly #replies: AsyncIterator<string>;
  readonly #control: Socket;
  readonly #options: SandboxOptions;
  readonly #outputs: Socket[] = [];
  #running = false;
  #messages = '';
  #inner: number | undefined;

  constructor(options: SandboxOptions) {
    this.#options = options;
    const capture = options.stdio === 'capture';
    const out = capture ? pipe() : undefined;
    const err = capture ? pipe() : undefined;
    const said = pipe();
    const own = options.stdio === 'capture' ? 'ignore' : options.stdio;
    const last = typeof own === 'number' ? own : 2;
    const stdio: StdioOptions = [own, out?.write ?? own, said.write, 'pipe', err?.write ?? last];
    // A search along PATH costs a failed execve(2) for each directory.
    const program = (name: string): string => findProgram(name, options.path) ?? name;
    const namespaces = ['mount', 'pid', ...options.namespaces].map((name) => `--${name}`);
    const args = [
      ...['--pdeathsig', 'KILL', '--', program('unshare'), ...namespaces, '--mount-proc', '--fork'],
      ...['--kill-child', '--', program('sh'), '-c', script, 'sh', ...options.command],
    ];
    this.#child = spawn(program('setpriv'), args, {
      cwd: options.directory,
      // An allow-list (S-P-9). The mount program must not use the new mount calls: they limit an option to 255 bytes.
      env: { PATH: options.path, LC_ALL: 'C', LIBMOUNT_FORCE_MOUNT2: 'always' },
      stdio,
      // Its own session: Ctrl-C reaches tsbuild alone, which then decides.
      detached: capture,
    });
    const exit = Promise.withResolvers<number>();
    this.#exit = exit.promise;
    this.#child.once('error', (error) => {
      this.#messages += error.message;
      exit.resolve(127);
    });
    this.#child.once('exit', (code, signal) => exit.resolve(code ?? 128 + signalNumber(signal)));
    const streams = [this.#read('stdout', out), this.#read('stderr', err), this.#read('messages', said)];
    this.#closed = Promise.all([this.#exit, ...streams]);
    this.#control = this.#child.stdio[3] as Socket;
    this.#control.on('error', () => {});
    this.#replies = lines(this.#control);
  }

  #read(
    stream: 'stdout' | 'stderr' | 'messages',
    ends: { read: number; write: number } | undefined,
  ): Promise<void> {
    if (ends === undefined) return Promise.resolve();
    closeSync(ends.write);
    const socket = new Socket({ fd: ends.read, readable: true, writable: false });
    this.#outputs.push(socket);
    socket.on('data', (data) => {
      if (stream === 'messages') {
        this.#messages = (this.#messages + data.toString()).slice(-longestMessage);
        return;
      }
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

  /** Waits until the sandbox is ready for commands. Throws SANDBOX_UNAVAILABLE with what the host's programs said. */
  async ready(): Promise<void> {
    await this.#reply('make namespaces');
    const pid = this.pid;
    try {
      this.#inner =
        Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]) || undefined;
    } catch {
      this.#inner = undefined;
    }
  }

  /** A process in the sandbox's namespaces, as this process sees it. */
  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Where the sandbox's view of an absolute path is for this process. */
  view(path: string): string {
    return `/proc/${this.pid}/root${path}`;
  }

  /** Mounts an overlay on a directory; names are relative to the sandbox's directory. */
  async overlay(options: string, target: string): Promise<void> {
    await this.#command(`overlay ${options} ${target}`, 'mount an overlay');
  }

  async tmpfs(options: string, target: string): Promise<void> {
    await this.#command(`tmpfs ${options} ${target}`, 'mount a tmpfs');
  }

  async unmount(target: string): Promise<void> {
    await this.#command(`unmount ${target}`, 'unmount');
  }

  /** Makes the file that a symbolic link leads to read-only for everything in the sandbox. `link` is relative to the sandbox's directory. */
  async seal(link: string): Promise<void> {
    await this.#command(`seal ${link}`, 'make its own program read-only');
  }

  /** Copies the content of a directory with all its attributes. */
  async copy(from: string, to: string): Promise<void> {
    await this.#command(`copy ${from} ${to}`, 'copy files');
  }

  async #command(line: string, what: string): Promise<void> {
    // Invariant: words of the channel have no blank and no line end, whatever the image holds.
    if (/[\n\0]/.test(line) || line.split(' ').length > 3) throw new Error(`not a plain command: ${line}`);
    this.#control.write(`${line}\n`);
    await this.#reply(what);
  }

  async #reply(what: string): Promise<void> {
    const { value } = await this.#replies.next();
    if (value === '0') return;
    await this.kill();
    throw new BuildError(
      'SANDBOX_UNAVAILABLE',
      `the sandbox of a step cannot ${what}: ${this.#messages.trim() || 'it ended early'}`,
      { hint: 'run `tsbuild doctor` to see what this host lacks' },
    );
  }

  /**
   * Becomes the runtime and waits for its end: 0 to 255, 128 + n for signal n. With `guard` the runtime keeps the channel, says the number of a
   * descriptor (`listener 5`), and goes on once `guard` has dealt with it.
   */
  async run(guard?: (fd: number, pid: number) => void): Promise<number> {
    this.#running = true;
    this.#control.write(guard === undefined ? 'run\n' : 'guarded\n');
    if (guard !== undefined) {
      const fd = /^listener (\d+)$/.exec((await this.#replies.next()).value ?? '')?.[1];
      // Without one the runtime has failed, and says itself why.
      if (fd !== undefined && this.#inner !== undefined) {
        guard(Number(fd), this.#inner);
        this.#control.write('go\n');
      }
    }
    await this.#closed;
    const status = await this.#exit;
    // unshare before 2.39 cannot end as its child did when that was killed.
    return status === 1 && /^unshare: sigprocmask /m.test(this.#messages) ? 128 + 9 : status;
  }

  /** Kills everything inside and waits until it is gone. Does nothing when it is over. */
  async kill(): Promise<void> {
    this.#running = false;
    if (this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null) {
      // The namespace's first process: unshare reaps it only after the kernel has ended all others in the namespace.
      try {
        process.kill(this.#inner ?? this.#child.pid, 'SIGKILL');
      } catch {
        this.#child.kill('SIGKILL');
      }
    }
    this.#control.destroy();
    // Whoever reads the output may be slow; a step that is given up does not wait for them.
    for (const socket of this.#outputs) socket.resume();
    await this.#closed;
  }
}

function signalNumber(signal: NodeJS.Signals | null): number {
  // Only signals that a process dies of by default come here; the kernel's usual one is SIGKILL.
  return signal === null ? 9 : (signals[signal] ?? 9);
}

const signals: Partial<Record<NodeJS.Signals, number>> = {
  ...{
    SIGHUP: 1,
    SIGINT: 2,
    SIGQUIT: 3,
    SIGILL: 4,
    SIGTRAP: 5,
    SIGABRT: 6,
    SIGBUS: 7,
    SIGFPE: 8,
    SIGKILL: 9,
  },
  ...{
    SIGUSR1: 10,
    SIGSEGV: 11,
    SIGUSR2: 12,
    SIGPIPE: 13,
    SIGALRM: 14,
    SIGTERM: 15,
    SIGXCPU: 24,
    SIGXFSZ: 25,
  },
  SIGSYS: 31,
};

async function* lines(stream: Readable): AsyncGenerator<string, undefined> {
  let rest = '';
  try {
    for await (const chunk of stream) {
      const parts = (rest + String(chunk)).split('\n');
      rest = parts.pop() ?? '';
      yield* parts;
    }
  } catch {
    // The channel broke: the same as its end.
  }
  return undefined;
}
