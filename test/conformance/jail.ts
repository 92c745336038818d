import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandOptions, CommandResult } from '../support/cli.ts';
import { command } from '../support/cli.ts';

/**
 * Mount and pid namespaces in which the peers run, with `root` as their root and `work` at its own path. Everything in it
 * ends when the jail is disposed, and also when this process dies of whatever: its first process reads a pipe of ours.
 */
export interface Jail extends AsyncDisposable {
  /** Runs a program in it to its end. */
  readonly run: (
    program: string,
    args: readonly string[],
    options?: CommandOptions,
  ) => Promise<CommandResult>;
  /** The command line that starts a program in it. */
  readonly enter: (program: string, args: readonly string[]) => readonly [string, string[]];
  /** A control group for daemons, removed with the jail. */
  readonly cgroup: string;
}

// Mounts are private to the namespace: the host sees none of them, and the kernel takes them away with its last process.
const script = `
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --rbind /sys "$1/sys"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/tmp"
mkdir -p "$1$2"
mount --bind "$2" "$1$2"
cp -L /etc/resolv.conf "$1/etc/resolv.conf" 2>/dev/null || :
mount -t tmpfs tmpfs "$1/run"
echo ready
exec cat >/dev/null`;

/** `root` is a root filesystem; `work` a folder that both sides see. */
export async function openJail(root: string, work: string): Promise<Jail> {
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child'];
  const child = spawn('unshare', [...namespaces, 'sh', '-c', script, 'sh', root, work], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Ctrl-C is for us: we end the jail in our own order.
    detached: true,
  });
  const errors: Buffer[] = [];
  child.stderr.on('data', (data: Buffer) => errors.push(data));
  const ended = once(child, 'close');
  await Promise.race([once(child.stdout, 'data'), ended]);
  if (child.exitCode !== null)
    throw new Error(`no namespaces for the peers: ${Buffer.concat(errors).toString()}`);
  const pid = child.pid ?? 0;
  const first = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  const cgroup = `tsbuild-conformance-${process.pid}`;
  const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  const variables = [path, `HOME=${work}`, 'DOCKER_BUILDKIT=1'];
  const enter: Jail['enter'] = (program, args) => {
    const inside = ['--target', first, '--mount', '--pid', '--', 'chroot', root];
    return ['env', ['-i', ...variables, 'nsenter', ...inside, program, ...args]];
  };
  return {
    enter,
    cgroup,
    run: (program, args, options) => {
      const [file, argv] = enter(program, args);
      return command(file, argv, options);
    },
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await ended;
      removeCgroups(cgroup);
    },
  };
}

/** The daemon's groups in each hierarchy, v1 or v2. They are empty now; the kernel refuses to remove one that is not. */
function removeCgroups(name: string): void {
  const top = '/sys/fs/cgroup';
  const remove = (folder: string): void => {
    try {
      for (const item of readdirSync(folder, { withFileTypes: true })) {
        if (item.isDirectory()) remove(join(folder, item.name));
      }
      rmdirSync(folder);
    } catch {
      // not in this hierarchy
    }
  };
  remove(join(top, name));
  try {
    for (const hierarchy of readdirSync(top)) remove(join(top, hierarchy, name));
  } catch {
    // a host without control groups
  }
}
