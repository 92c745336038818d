import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';

// The network of a step (L-RUN-4, L-RUN-7). `default` is isolated by slirp4netns: the step has its own network namespace, and a
// program of the host forwards its connections. It cannot reach the host's loopback.

/** A network helper that serves one network namespace; it dies with tsbuild. */
export interface NetworkHelper extends AsyncDisposable {
  readonly name: string;
}

/** The name server that slirp4netns offers. */
const SLIRP_RESOLVER = '10.0.2.3';
const FALLBACK_RESOLVERS: readonly string[] = ['8.8.8.8', '8.8.4.4'];
/** How long the helper may take to be ready, in milliseconds. */
const START_LIMIT = 10_000;

/** Starts slirp4netns for the network namespace of a process. Throws an Error with what it said when it does not work. */
export async function startSlirp(program: string, pid: number, path: string): Promise<NetworkHelper> {
  const args = [
    '--pdeathsig',
    'KILL',
    '--',
    program,
    '--configure',
    '--mtu=65520',
    '--disable-host-loopback',
  ];
  const child = spawn('setpriv', [...args, '--enable-sandbox', '--ready-fd=3', String(pid), 'tap0'], {
    env: { PATH: path, LC_ALL: 'C' },
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    detached: true,
  });
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
  const ready = child.stdio[3] as Readable;
  ready.on('error', () => {});
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

/** /etc/resolv.conf of a step. The host's own for a step on the host's network, as it is. */
export function resolvConf(network: 'host' | 'none' | 'slirp4netns'): string {
  const host = readText('/etc/resolv.conf');
  if (network === 'host') return host ?? nameservers(FALLBACK_RESOLVERS);
  // Search domains and options stay; the servers are the helper's.
  const kept = (host ?? '').split('\n').filter((line) => /^\s*(search|domain|options)\s/.test(line));
  const servers =
    network === 'slirp4netns'
      ? [SLIRP_RESOLVER]
      : (host ?? '').split('\n').flatMap((line) => {
          const server = /^\s*nameserver\s+(\S+)/.exec(line)?.[1];
          return server === undefined || /^127\.|^::1$/.test(server) ? [] : [server];
        });
  return [...kept, nameservers(servers.length === 0 ? FALLBACK_RESOLVERS : servers)].join('\n');
}

function nameservers(servers: readonly string[]): string {
  return `${servers.map((server) => `nameserver ${server}`).join('\n')}\n`;
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
