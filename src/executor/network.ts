import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { BuildError } from '../util/build-error.ts';

// What a step knows of its network (L-RUN-7): resolv.conf and hosts.

/** host: the host's; none: nothing but `lo`; else an own one, which that program connects. */
export type StepNetwork = 'host' | 'none' | 'pasta' | 'slirp4netns';

/** The name server of isolated networks: it asks that of the host. */
export const RESOLVER = '10.0.2.3';
/** That of systemd-resolved. */
const STUB_RESOLVER = '127.0.0.53';
const FALLBACK_RESOLVERS: readonly string[] = [
  ...['8.8.8.8', '8.8.4.4'],
  ...['2001:4860:4860::8888', '2001:4860:4860::8844'],
];

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
export function resolvConf(network: StepNetwork, host: HostResolvers): string {
  const main = host.main ?? '';
  if (network === 'host' && serversOf(main).length > 0) return main;
  const isolated = network === 'pasta' || network === 'slirp4netns';
  const text = withoutStub(host);
  const reachable = (server: string): boolean => !isolated && !isLoopback(server);
  const kept = text.split('\n').filter((line) => {
    const [server] = serversOf(line);
    return server === undefined ? line.trim() !== '' : reachable(server);
  });
  const added = isolated ? [RESOLVER] : serversOf(kept.join('\n')).length > 0 ? [] : FALLBACK_RESOLVERS;
  return [...kept, ...added.map((server) => `nameserver ${server}`), ''].join('\n');
}

/** Are all name servers of this host on its loopback? */
export function asksLoopback(host: HostResolvers): boolean {
  const servers = serversOf(withoutStub(host));
  return servers.length > 0 && servers.every(isLoopback);
}

/** The resolver file; where it names only the stub of systemd-resolved, that which says what the stub asks. */
function withoutStub(host: HostResolvers): string {
  const main = host.main ?? '';
  const servers = serversOf(main);
  const isStub = servers.length > 0 && servers.every((server) => server === STUB_RESOLVER);
  return isStub ? (host.systemd ?? main) : main;
}

function isLoopback(server: string): boolean {
  return /^127\.|^::1$/.test(server);
}

function serversOf(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? []);
}

/**
 * /etc/hosts of a step. `extraHosts` are `name:ip` or `name=ip`; an address in brackets loses them, and `host-gateway` is that of `gateway`
 * (C-EX-2).
 */
export function hostsFile(hostname: string, extraHosts: readonly string[], gateway: () => string): string {
  const lines = [
    `127.0.0.1\tlocalhost ${hostname}`,
    '::1\tlocalhost ip6-localhost ip6-loopback',
    ...extraHosts.map((host) => {
      const cut = host.search(/[:=]/);
      const address = host.slice(cut + 1).replace(/^\[(.*)\]$/, '$1');
      return `${address === 'host-gateway' ? gateway() : address}\t${host.slice(0, cut)}`;
    }),
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * The address by which a step reaches this host: on the host's own network its loopback; elsewhere one of its interfaces, since neither pasta nor
 * slirp4netns lets a step reach the host's loopback. Throws NETWORK_UNAVAILABLE where there is none.
 */
export function hostGateway(
  network: StepNetwork,
  interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces(),
): string {
  if (network === 'host') return '127.0.0.1';
  const all = Object.values(interfaces).flatMap((each = []) => each.filter(({ internal }) => !internal));
  const found =
    all.find(({ family }) => family === 'IPv4') ??
    all.find(({ family, address }) => family === 'IPv6' && !/^fe[89ab]/i.test(address));
  if (found !== undefined) return found.address;
  throw new BuildError('NETWORK_UNAVAILABLE', 'this host has no address for `host-gateway` of --add-host', {
    hint: 'with --network=host it is the loopback',
  });
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
