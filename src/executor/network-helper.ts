import { closeSync, readFileSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { Agent } from '../host/agent/agent.ts';
import { becomes, deathTie, ordersEndOnExec } from '../host/agent/items.ts';
import type { PlanItem } from '../host/agent/plan.ts';
import * as sys from '../host/container-constants.ts';
import { findProgram } from '../host/probe.ts';
import { pipe } from '../host/syscalls.ts';
import type { HostResolvers } from './network.ts';
import { asksLoopback, RESOLVER } from './network.ts';

// The isolated network of a step (L-RUN-4): it has its own network namespace, and a program of the host, pasta or slirp4netns, makes its
// connections for it. It cannot reach what listens on the host's loopback, nor is it reached itself.

/** A running helper that serves one network namespace; it dies with tsbuild. */
export type NetworkHelper = AsyncDisposable;

/** A program of this host that may give steps an isolated network. */
export interface NetworkProgram {
  readonly name: 'pasta' | 'slirp4netns';
  readonly path: string;
}

/** How long the helper may take to be ready, in milliseconds. */
const START_LIMIT = 10_000;

/**
 * Those that are installed, best first: pasta is faster and knows IPv6. Where the host's only name server is on its loopback, slirp4netns comes
 * first: pasta before 2024 does not ask there.
 */
export function networkPrograms(path: string, resolvers: HostResolvers): NetworkProgram[] {
  const names = asksLoopback(resolvers)
    ? (['slirp4netns', 'pasta'] as const)
    : (['pasta', 'slirp4netns'] as const);
  return names.flatMap((name) => {
    const program = findProgram(name, path);
    return program === undefined ? [] : [{ name, path: program }];
  });
}

export interface Served {
  /** A process in the network namespace. */
  readonly pid: number;
  /** An own directory, for what the helper needs. */
  readonly directory: string;
  /** For further programs. */
  readonly path: string;
}

/** Starts a helper, and waits until the network works. Throws an Error with what it said when it does not come up. */
export async function startHelper(program: NetworkProgram, served: Served): Promise<NetworkHelper> {
  // A pipe, as a socket cannot be opened by name. Both write to it when they are ready.
  const ends = pipe();
  const agent = new Agent({
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', ends.write],
    detached: true,
  });
  closeSync(ends.write);
  using ready = disposable(new Socket({ fd: ends.read, readable: true, writable: false }));
  const { child } = agent;
  let said = '';
  child.stderr?.on('data', (data) => {
    said = (said + String(data)).slice(-2000);
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', (error) => {
      said += error.message;
      resolve();
    });
  });
  await agent.execute(program.name === 'pasta' ? pasta(program, served) : slirp(program, served));
  const timer = setTimeout(() => child.kill('SIGKILL'), START_LIMIT);
  const first = await Promise.race([
    new Promise<boolean>((resolve) => {
      ready.once('data', () => resolve(true));
    }),
    ended.then(() => false),
  ]);
  clearTimeout(timer);
  if (!first) throw new Error(lastLine(said) || `${program.name} ended early`);
  return {
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function disposable(socket: Socket): Socket & Disposable {
  socket.on('error', () => {});
  return Object.assign(socket, { [Symbol.dispose]: () => void socket.destroy() });
}

/** A descriptor of the helper. */
const READY = 4;

function slirp({ path }: NetworkProgram, served: Served): PlanItem[] {
  const options = ['--configure', '--mtu=65520', '--disable-host-loopback', '--enable-sandbox'];
  const args = [path, ...options, `--ready-fd=${READY}`, String(served.pid), 'tap0'];
  return [deathTie, ordersEndOnExec, becomes(path, args, environment(served))];
}

/** Addresses of the network that a step sees, the same as those of slirp4netns. */
const IPV4: readonly string[] = ['-a', '10.0.2.100', '-n', '24', '-g', '10.0.2.2'];
const IPV6: readonly string[] = ['-a', 'fd00:2::100', '-g', 'fe80::2'];

function pasta({ path }: NetworkProgram, served: Served): PlanItem[] {
  const namespace = join(served.directory, 'netns');
  writeFileSync(namespace, '', { mode: 0o600 });
  // No port is forwarded in either direction, and the gateway does not stand for the host.
  const closed = [...['-t', '-u', '-T', '-U'].flatMap((flag) => [flag, 'none']), '--no-map-gw'];
  const addresses = [...IPV4, ...(hasIpv6() ? IPV6 : ['-4']), '--dns-forward', RESOLVER];
  const args = [
    ...[path, '--foreground', '--quiet', '--runas', '0', '--netns-only', '--netns', namespace],
    ...['--config-net', ...closed, ...addresses, '-P', `/proc/self/fd/${READY}`],
  ];
  const flags = sys.CLONE_NEWNS | sys.CLONE_NEWPID;
  const mount = (source: string, target: string, how: number, what: string): PlanItem => ({
    ...{ name: 'mount', args: [source, target, null, how, null], what },
  });
  return [
    deathTie,
    { name: 'unshare', args: [flags], what: 'making namespaces' },
    mount('none', '/', sys.MS_REC | sys.MS_PRIVATE, 'making mounts private'),
    // pasta gives up the right to look at another's namespace before it looks: it gets a name of its own for it.
    mount(`/proc/${served.pid}/ns/net`, namespace, sys.MS_BIND, 'naming the network namespace'),
    // The first process of the pid namespace ends with this one, and pasta with it, whatever pasta does to its own death tie.
    'fork',
    deathTie,
    'fork',
    ordersEndOnExec,
    becomes(path, args, environment(served)),
  ];
}

function environment({ path }: Served): string[] {
  return [`PATH=${path}`, 'LC_ALL=C'];
}

/** Has this host a default route for IPv6? */
function hasIpv6(): boolean {
  try {
    const routes = readFileSync('/proc/net/ipv6_route', 'utf8').split('\n');
    return routes.some((line) => /^0{32} 00 /.test(line) && !/ lo$/.test(line.trim()));
  } catch {
    return false;
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
