import { BlockList, isIP } from 'node:net';
import { BuildError } from '../util/build-error.ts';
import { redactUrl } from '../util/redact.ts';
import { isLoopbackHost } from './address.ts';

/**
 * The proxy for a URL by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY of `env` (lower-case names first, as curl does); undefined: go
 * directly. This machine itself is never reached through a proxy. A value without scheme means http. Throws CONFIG_INVALID.
 */
export function proxyFor(url: URL, env: NodeJS.ProcessEnv): URL | undefined {
  if (isLoopbackHost(url.hostname)) return undefined;
  const scheme = url.protocol === 'https:' ? 'https' : 'http';
  const value = read(env, `${scheme}_proxy`) ?? read(env, 'all_proxy');
  if (value === undefined || exempt(url, read(env, 'no_proxy') ?? '')) return undefined;
  const proxy = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`) ?? undefined;
  if (proxy !== undefined) checkProxy(proxy);
  return proxy;
}

/** Throws CONFIG_INVALID for what no request can be sent through. */
function checkProxy(proxy: URL): void {
  let why: string | undefined;
  if (!/^(?:https?|socks5?):$/.test(proxy.protocol)) why = 'it is none of HTTP and none of SOCKS 5';
  try {
    decodeURIComponent(`${proxy.username}:${proxy.password}`);
  } catch {
    why = 'its user or password has a % that stands for nothing';
  }
  if (why === undefined) return;
  throw new BuildError('CONFIG_INVALID', `the proxy ${redactUrl(proxy)} cannot be used: ${why}`, {
    hint: 'see HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; a % of a password is written %25',
  });
}

function read(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const value = env[name] ?? env[name.toUpperCase()];
  return value === undefined || value === '' ? undefined : value;
}

/** NO_PROXY as Go reads it: `*`, `name` and what is below it, `.name` for what is below, `address`, `network/bits`; each with `:port`. */
function exempt(url: URL, list: string): boolean {
  const host = url.hostname
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
  const port = url.port !== '' ? url.port : url.protocol === 'https:' ? '443' : '80';
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((item) => item !== '')
    .some((item) => item === '*' || matches(item, host, port));
}

function matches(item: string, host: string, port: string): boolean {
  const [network = '', bits] = item.split('/');
  if (bits !== undefined) return inNetwork(host, network, Number(bits));
  const parts = /^(?:\[(.*)\]|(.*?))(?::(\d+))?$/.exec(isIP(item) === 6 ? `[${item}]` : item);
  const name = parts?.[1] ?? parts?.[2] ?? '';
  if (parts?.[3] !== undefined && parts[3] !== port) return false;
  if (isIP(name) !== 0) return name === host;
  const bare = name.replace(/^\*?\./, '');
  return bare !== '' && (host.endsWith(`.${bare}`) || (host === bare && name === bare));
}

function inNetwork(host: string, network: string, bits: number): boolean {
  const version = isIP(host);
  if (version === 0 || version !== isIP(network)) return false;
  const family = version === 4 ? 'ipv4' : 'ipv6';
  if (!Number.isInteger(bits) || bits < 0 || bits > (version === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(network, bits, family);
  return list.check(host, family);
}
