import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { Agent } from '../host/agent/agent.ts';
import { becomes, deathTie, ordersEndOnExec } from '../host/agent/items.ts';

// The network of a step (L-RUN-4, L-RUN-7). `default` is isolated by slirp4netns: the step has its own network namespace, and a
// program of the host forwards its connections. It cannot reach the host's loopback.

/** A network helper that serves one network namespace; it dies with tsbuild. */
export interface NetworkHelper extends AsyncDisposable {
  readonly name: string;
}

/** The name server that slirp4netns offers. */
const SLIRP_RESOLVER = '10.0.2.3';
/** That of systemd-resolved. */
const STUB_RESOLVER = '127.0.0.53';
const FALLBACK_RESOLVERS: readonly string[] = [
  ...['8.8.8.8', '8.8.4.4'],
  ...['2001:4860:4860::8888', '2001:4860:4860::8844'],
];
/** How long the helper may take to be ready, in milliseconds. */
const START_LIMIT = 10_000;

/** Starts slirp4netns for the network namespace of a process. Throws an Error with what it said when it does not work. */
export async function startSlirp(program: string, pid: number, path: string): Promise<NetworkHelper> {
  const options = ['--configure', '--mtu=65520', '--disable-host-loopback', '--enable-sandbox'];
  const args = [program, ...options, '--ready-fd=4', String(pid), 'tap0'];
  const agent = new Agent({
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
    detached: true,
  });
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
  const ready = child.stdio[4] as Readable;
  ready.on('error', () => {});
  await agent.execute([deathTie, ordersEndOnExec, becomes(program, args, [`PATH=${path}`, 'LC_ALL=C'])]);
  const timer = setTimeout(() => child.kill('SIGKILL'), START_LIMIT);
  const first = await Promise.race([
    new Promise<boolean>((resolve) => {
      ready.once('data', () => resolve(true));
    }),
    ended.then(() => false),
  ]);
  clearTimeout(timer);
  if (!first) throw new Error(said.trim() || 'slirp4netns ended early');
  return {
    name: 'slirp4netns',
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Texts of this host's resolver files; undefined: there is none. */
export interface HostResolvers {
  /** /etc/resolv.conf */
  readonly main: string | undefined;
  /** What systemd-resolved asks itself, where `main` may name only its stub. */
  readonly systemd: string | undefined;
}

/** Reads the resolver files of this host. */
export function hostResolvers(): HostResolvers {
  return {
    main: readText('/etc/resolv.conf'),
    systemd: readText('/run/systemd/resolve/resolv.conf'),
  };
}

/**
 * /etc/resolv.conf of a step (L-RUN-7). On the host's network it is the host's own, as it is. Elsewhere a server on the host's loopback
 * cannot be reached: such lines go, and where no server remains there are public ones.
 */
export function resolvConf(network: 'host' | 'none' | 'slirp4netns', host: HostResolvers): string {
  const main = host.main ?? '';
  if (network === 'host' && serversOf(main).length > 0) return main;
  const isStub = serversOf(main).every((server) => server === STUB_RESOLVER) && serversOf(main).length > 0;
  const text = isStub ? (host.systemd ?? main) : main;
  const reachable = (server: string): boolean => network !== 'slirp4netns' && !/^127\.|^::1$/.test(server);
  const kept = text.split('\n').filter((line) => {
    const [server] = serversOf(line);
    return server === undefined ? line.trim() !== '' : reachable(server);
  });
  const added =
    network === 'slirp4netns'
      ? [SLIRP_RESOLVER]
      : serversOf(kept.join('\n')).length > 0
        ? []
        : FALLBACK_RESOLVERS;
  return [...kept, ...added.map((server) => `nameserver ${server}`), ''].join('\n');
}

function serversOf(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? []);
}

/** /etc/hosts of a step. `extraHosts` are `name:ip` or `name=ip`; an address in brackets loses them. */
export function hostsFile(hostname: string, extraHosts: readonly string[]): string {
  const lines = [
    `127.0.0.1\tlocalhost ${hostname}`,
    '::1\tlocalhost ip6-localhost ip6-loopback',
    ...extraHosts.map((host) => {
      const cut = host.search(/[:=]/);
      const address = host.slice(cut + 1).replace(/^\[(.*)\]$/, '$1');
      return `${address}\t${host.slice(0, cut)}`;
    }),
  ];
  return `${lines.join('\n')}\n`;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
