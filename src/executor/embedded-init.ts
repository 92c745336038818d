import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join, posix } from 'node:path';
import * as sys from '../host/container-syscalls.ts';
import { controlBy } from '../host/terminal.ts';
import { hasSingleId } from '../host/probe.ts';
import { pipe } from '../host/syscalls.ts';
import { allCapabilities, capabilityMask } from './capabilities.ts';
import { makeDevice, mountInto, parseOptions } from './embedded-mounts.ts';
import { ownerProgram } from './owner-filter.ts';
import { rlimitNumber } from './rlimits.ts';
import type { RuntimeSpec } from './runtime-spec.ts';
import { seccompArch, seccompProgram } from './seccomp.ts';

// First process of an embedded container (a program of its own: `node embedded-init <bundle> <log>`). It is process 1 of new
// mount, pid, ipc, uts and perhaps network and cgroup namespaces with a fresh /proc. It mounts, pivots, gives up every right
// that config.json does not grant, and becomes the step's process. Anything that fails ends it with 125 and a line in the log.

const [bundle = '', logPath = ''] = process.argv.slice(2);
const log = openSync(logPath, 'a', 0o600);

try {
  start(JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as RuntimeSpec);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  writeSync(log, `${JSON.stringify({ level: 'error', msg: message })}\n`);
  // Not Node's own way out: it waits for threads, and does what the filter of the step forbids.
  sys.exitNow(125);
}

function start(spec: RuntimeSpec): void {
  const namespaces = new Set(spec.linux.namespaces.map((namespace) => namespace.type));
  const sandboxed = spec.linux.seccomp !== undefined;
  const root = spec.root.path;
  // No device cgroup guards the devices here: so nothing that a step can write to may hold device files that work.
  if (sandboxed)
    sys.mount({
      source: 'none',
      target: root,
      flags: sys.MS_REMOUNT | sys.MS_BIND | sys.MS_NODEV | sys.mountFlags(root),
    });
  for (const mount of spec.mounts) {
    try {
      mountInto(root, mount, { sandboxed });
    } catch (error) {
      throw new Error(`mounting ${mount.destination}: ${(error as Error).message}`, { cause: error });
    }
  }
  for (const device of spec.linux.devices ?? []) makeDevice(root, device);
  process.chdir(root);
  // Old and new root on one spot: the old one is on top then, and goes.
  sys.pivotRoot('.', '.');
  sys.umount2('.', sys.MNT_DETACH);
  process.chdir('/');
  for (const path of spec.linux.maskedPaths) mask(path);
  for (const path of spec.linux.readonlyPaths) makeReadonly(path);
  sys.setHostname(spec.hostname);
  if (namespaces.has('network')) sys.loopbackUp();
  becomeUser(spec);
}

function mask(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (stat.isDirectory())
    sys.mount({
      source: 'tmpfs',
      target: path,
      type: 'tmpfs',
      flags: sys.MS_RDONLY,
      data: 'nr_blocks=1,nr_inodes=1',
    });
  else sys.mount({ source: '/dev/null', target: path, flags: sys.MS_BIND });
}

function makeReadonly(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return;
  sys.mount({ source: path, target: path, flags: sys.MS_BIND | sys.MS_REC });
  const { flags } = parseOptions(['nosuid', 'nodev', 'noexec', 'ro']);
  sys.mount({
    source: 'none',
    target: path,
    flags: flags | sys.mountFlags(path) | sys.MS_REMOUNT | sys.MS_BIND,
  });
}

/** Gives up rights in the one order that works, and ends in execve. Only the calling thread survives that. */
function becomeUser(spec: RuntimeSpec): void {
  const { user, capabilities, args, cwd } = spec.process;
  const command = args[0] ?? '';
  for (const { type, soft, hard } of spec.process.rlimits ?? [])
    sys.setrlimit(rlimitNumber(type), rlimit(soft), rlimit(hard));
  for (const fd of [0, 1, 2]) {
    replaceNull(fd);
    sys.handOver(fd);
    // As runc does, so that a user other than root may open /dev/stdout.
    const stat = fstatSync(fd);
    if (stat.isFIFO() && !hasSingleId()) fchownSync(fd, user.uid, stat.gid);
  }
  // A terminal of the host that controls the step could be fed with input for the host's shell (TIOCSTI): it gets one of its own.
  sys.setsid();
  if (spec.process.terminal) controlBy(0);
  const single = hasSingleId();
  process.umask(0o022);
  const arch = seccompArch();
  if (spec.linux.seccomp !== undefined) {
    if (arch === undefined) throw new Error(`there is no system call filter for ${process.arch}`);
    // Before the rights go: a filter without no_new_privs needs CAP_SYS_ADMIN.
    sys.installSeccompFilter(seccompProgram(arch));
    if (single) awaitSupervisor(sys.installSeccompListener(ownerProgram(arch)));
  }
  const bounding = capabilityMask(capabilities.bounding);
  for (const [bit] of allCapabilities.entries()) {
    if ((bounding & (1n << BigInt(bit))) === 0n && supported(bit)) sys.prctl(sys.PR_CAPBSET_DROP, bit);
  }
  sys.prctl(sys.PR_CAP_AMBIENT, sys.PR_CAP_AMBIENT_CLEAR_ALL);
  sys.prctl(sys.PR_SET_KEEPCAPS, 1);
  if (!single) {
    process.setgroups?.([...user.additionalGids]);
    process.setgid?.(user.gid);
    process.setuid?.(user.uid);
  }
  sys.capset({
    effective: capabilityMask(capabilities.effective),
    permitted: capabilityMask(capabilities.permitted),
    inheritable: capabilityMask(capabilities.inheritable),
  });
  for (const name of capabilities.ambient)
    sys.prctl(sys.PR_CAP_AMBIENT, sys.PR_CAP_AMBIENT_RAISE, allCapabilities.indexOf(name));
  // A change of user clears the death tie to unshare.
  sys.prctl(sys.PR_SET_PDEATHSIG, 9);
  enter(cwd);
  const program = findProgram(command, pathOf(spec.process.env), cwd);
  sys.closeOnExecFrom(3);
  sys.defaultSignals();
  try {
    sys.execve(program, args, spec.process.env);
  } catch (error) {
    throw new Error(`exec ${program}: ${(error as Error).message}`, { cause: error });
  }
}

/** Where there is a single id, changes of owner are answered from outside: says where they can be heard, and waits until they are. */
function awaitSupervisor(listener: number): void {
  const channel = 3;
  writeSync(channel, `listener ${listener}\n`);
  if (readSync(channel, Buffer.alloc(16)) === 0) throw new Error('nobody answers for the step');
}

/**
 * A descriptor of the host's /dev/null would let the step change that file's mode (fchmod): the container's own is read-only. For its
 * standard input a step gets a pipe that is at its end, as from runc.
 */
function replaceNull(fd: number): void {
  const ours = statSync('/dev/null');
  const stat = fstatSync(fd);
  if (!stat.isCharacterDevice() || stat.rdev !== ours.rdev) return;
  closeSync(fd);
  // The lowest free number is the one that was just closed.
  if ((fd === 0 ? emptyPipe() : openSync('/dev/null', constants.O_RDWR)) !== fd)
    throw new Error(`descriptor ${fd} cannot be replaced`);
}

function emptyPipe(): number {
  const { read, write } = pipe();
  closeSync(write);
  return read;
}

function enter(cwd: string): void {
  try {
    process.chdir(cwd);
  } catch (error) {
    throw new Error(`chdir to cwd ("${cwd}"): ${(error as Error).message}`, { cause: error });
  }
  // CVE-2024-21626: a directory outside the root has no name here; getcwd then fails or gives a relative one.
  if (!process.cwd().startsWith('/'))
    throw new Error(`the working directory ${cwd} is outside the root filesystem`);
}

function supported(bit: number): boolean {
  try {
    return sys.prctl(sys.PR_CAPBSET_READ, bit) === 1;
  } catch {
    return false;
  }
}

/** execvp's look-up in the container. */
function findProgram(command: string, path: string, cwd: string): string {
  if (command === '') throw new Error('the command is empty');
  const candidates = command.includes('/')
    ? [posix.resolve(cwd, command)]
    : path.split(':').map((directory) => posix.resolve(cwd, directory === '' ? '.' : directory, command));
  let denied = false;
  for (const candidate of candidates) {
    try {
      const fd = openSync(candidate, 0o10000000 | constants.O_RDONLY);
      const usable = fstatSync(fd).isFile();
      closeSync(fd);
      if (!usable) continue;
      return candidate;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES') denied = true;
    }
  }
  if (denied) throw new Error(`exec: "${command}": permission denied`);
  throw new Error(`exec: "${command}": executable file not found in $PATH`);
}

function pathOf(env: readonly string[]): string {
  return env.findLast((item) => item.startsWith('PATH='))?.slice(5) ?? '';
}

function rlimit(value: number): bigint {
  return value >= Number.MAX_SAFE_INTEGER ? -1n : BigInt(value);
}
