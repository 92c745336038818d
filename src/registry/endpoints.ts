import { isIP, BlockList } from 'node:net';
import { isLoopbackHost } from '../net/address.ts';
import type { TlsSettings } from '../net/certificates.ts';
import { BuildError } from '../util/build-error.ts';
import type { BuildkitdFile, BuildkitdRegistry } from './buildkitd-toml.ts';
import type { HostSettings, HostsFile } from './hosts-toml.ts';
import type { RegistryRule } from './registries-conf.ts';
import { matchPrefix } from './registries-conf.ts';

/** What decides where a registry is read and written. Plain data: the files have been read (`configuration.ts`). */
export interface RegistryConfiguration {
  /** The caller's own (`--registry-mirror`): `[http[s]://]host[:port][/prefix]` per registry. */
  readonly mirrors?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Hosts that may be plain, or have a certificate that is not checked: `host`, `host:port`, a network such as `10.0.0.0/8`, `*`. */
  readonly insecure?: readonly string[] | undefined;
  /** Where a registry really is: `{ 'docker.io': '127.0.0.1:5000' }`. Credentials stay those of the registry. */
  readonly hostAliases?: Readonly<Record<string, string>> | undefined;
  /** For registries themselves, not for what stands in for them (`HttpHeaders` of docker's config.json). */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** containerd's hosts.toml of this registry, and that of `_default`. */
  readonly hostsFile?: HostsFile | undefined;
  readonly defaultHostsFile?: HostsFile | undefined;
  /** BuildKit's buildkitd.toml. */
  readonly buildkitd?: BuildkitdFile | undefined;
  /** Of containers' registries.conf. */
  readonly rules?: readonly RegistryRule[] | undefined;
  /** `registry-mirrors` of docker's daemon.json; for Docker Hub alone. */
  readonly dockerMirrors?: readonly string[] | undefined;
  /** Hosts that layers may be pushed to whose licence may forbid it: in the form of `insecure`. */
  readonly nondistributable?: readonly string[] | undefined;
  /** What has a mirror is read from its mirrors alone. */
  readonly mirrorsOnly?: boolean | undefined;
}

/** What is asked for: a reference, or a repository with what stands in the place of tag and digest. */
export interface Wanted {
  readonly registry: string;
  readonly repository: string;
  readonly tag?: string | undefined;
  readonly digest?: string | undefined;
}

/** One place to try, and how it is spoken to. */
export interface EndpointAddress {
  /** What the user calls it: credentials are looked up under this name, and so a mirror sees none but its own. */
  readonly name: string;
  /** `host[:port]` that is connected to. */
  readonly host: string;
  /** Undefined: found out (`ping.ts`). */
  readonly scheme: 'http' | 'https' | undefined;
  /** The API's root, `/v2` at most places. */
  readonly root: string;
  readonly repository: string;
  readonly insecure: boolean;
  readonly tls: TlsSettings | undefined;
  /** Sent to this host alone. */
  readonly headers: Readonly<Record<string, string>>;
  /** The registry that it stands in for, told to mirrors of hosts.toml as containerd does (`?ns=`). */
  readonly namespace: string | undefined;
}

export interface Endpoints {
  /** At least one; in the order in which they are tried. The last is the registry that the user named, unless mirrors alone are read: its error counts. */
  readonly read: readonly EndpointAddress[];
  readonly write: EndpointAddress;
}

/**
 * Where a reference is read and written (R-MIR-1). Reading tries, in order:
 *
 * 1. the caller's mirrors (`--registry-mirror`);
 * 2. what the first of these says that knows the registry: containerd's `certs.d/<host>/hosts.toml` (its hosts, then its server) ·
 *    `[registry."<host>"]` of BuildKit's buildkitd.toml (its mirrors) · the `[[registry]]` of containers' registries.conf with the longest
 *    prefix (its mirrors, then its location) · `registry-mirrors` of docker's daemon.json, for Docker Hub · containerd's
 *    `_default/hosts.toml`;
 * 3. the registry itself, where 2 named no other place for it; not with `mirrorsOnly`, where there is a mirror.
 *
 * `blocked` of registries.conf holds whatever else is said. Writing goes to the registry itself: to a host of hosts.toml only when its
 * `capabilities` name `push`, to hosts.toml's `server`, never to a mirror, nor to the `location` of registries.conf (as podman does).
 * Hosts may be plain when they are loopback, listed as insecure here or in daemon.json, `insecure` in registries.conf or buildkitd.toml, or written
 * with `http://` in a file. Error: REGISTRY_BLOCKED.
 */
export function endpointsOf(wanted: Wanted, configuration: RegistryConfiguration): Endpoints {
  const registry = registryName(wanted.registry);
  const rule = ruleFor({ ...wanted, registry }, configuration.rules ?? []);
  if (rule?.blocked === true) {
    throw new BuildError(
      'REGISTRY_BLOCKED',
      `${registry}/${wanted.repository} is blocked by ${rule.source}`,
      {
        hint: `take \`blocked = true\` out of the entry for ${rule.prefix}, or use another registry`,
        details: { registry, source: rule.source },
      },
    );
  }
  const context: Context = { wanted: { ...wanted, registry }, configuration };
  const own = ownEndpoint(context, rule?.insecure ?? false);
  const { before, upstream, write } = configured(context, rule, own);
  const given = (ownValue(configuration.mirrors, registry) ?? []).map((mirror) =>
    mirrorEndpoint(mirror, context),
  );
  const mirrors = [...given, ...before];
  const alone = mirrors.length > 0 && (upstream === undefined || configuration.mirrorsOnly === true);
  return { read: alone ? mirrors : [...mirrors, upstream ?? write], write };
}

/** Where a registry is, by one kind of configuration. */
interface Places {
  readonly before: readonly EndpointAddress[];
  /** What stands for the registry itself; undefined: it may not be read. */
  readonly upstream: EndpointAddress | undefined;
  readonly write: EndpointAddress;
}

interface Context {
  readonly wanted: Wanted;
  readonly configuration: RegistryConfiguration;
}

function configured(context: Context, rule: RegistryRule | undefined, own: EndpointAddress): Places {
  const { configuration, wanted } = context;
  if (configuration.hostsFile !== undefined) return byHostsFile(configuration.hostsFile, context, own);
  const entry = configuration.buildkitd?.get(wanted.registry);
  if (entry !== undefined) return byBuildkitd(entry, context, own);
  if (rule !== undefined) return byRule(rule, context, own);
  const mirrors = wanted.registry === 'docker.io' ? (configuration.dockerMirrors ?? []) : [];
  const before = mirrors.map((mirror) => mirrorEndpoint(mirror, context));
  const fallback = configuration.defaultHostsFile;
  return before.length > 0 || fallback === undefined
    ? { before, upstream: own, write: own }
    : byHostsFile(fallback, context, own);
}

/** By tag a place must be trusted to say what the tag names; by digest anybody may have it. */
function byHostsFile(file: HostsFile, context: Context, own: EndpointAddress): Places {
  const need = context.wanted.digest === undefined ? 'resolve' : 'pull';
  const server = file.server === undefined ? own : hostEndpoint(file.server, context);
  const hosts = file.hosts.map((host) => ({ host, endpoint: hostEndpoint(host, context) }));
  const readers = hosts.filter(({ host }) => host.capabilities.includes(need));
  const writer = hosts.find(({ host }) => host.capabilities.includes('push'));
  const serverReads = (file.server?.capabilities.includes(need) ?? true) || readers.length === 0;
  return {
    before: readers.map(({ endpoint }) => endpoint),
    upstream: serverReads ? server : undefined,
    write: writer?.endpoint ?? server,
  };
}

/** What the file says of a mirror's host holds where that is a mirror, too. */
function byBuildkitd(entry: BuildkitdRegistry, context: Context, own: EndpointAddress): Places {
  const before = entry.mirrors.map((mirror) => {
    const endpoint = mirrorEndpoint(mirror, context);
    return asBuildkitdSays(endpoint, context.configuration.buildkitd?.get(endpoint.name));
  });
  const upstream = asBuildkitdSays(own, entry);
  return { before, upstream, write: upstream };
}

function asBuildkitdSays(endpoint: EndpointAddress, entry: BuildkitdRegistry | undefined): EndpointAddress {
  if (entry === undefined) return endpoint;
  const { http, insecure, ca, clients } = entry;
  const unchecked = endpoint.insecure || insecure;
  // With both, TLS is tried first. Without a word on it, what is on this machine may be plain.
  const either =
    http === undefined && (endpoint.insecure || isLoopbackHost(endpoint.host.replace(/:\d+$/, '')));
  const scheme = http === true && !insecure ? 'http' : either || http === true ? undefined : 'https';
  return {
    ...endpoint,
    scheme: endpoint.scheme ?? scheme,
    insecure: unchecked,
    tls: unchecked || ca.length + clients.length > 0 ? { ca, clients, unchecked } : undefined,
  };
}

function byRule(rule: RegistryRule, context: Context, own: EndpointAddress): Places {
  const { wanted } = context;
  const mirrors = rule.mirrors.flatMap((mirror) => {
    const fits = mirror.pull === 'all' || (mirror.pull === 'digest-only') === (wanted.digest !== undefined);
    const place = fits ? rewritten(wanted, rule.prefix, mirror.location) : undefined;
    return place === undefined ? [] : [plainEndpoint(place, context, mirror.insecure)];
  });
  const place = rule.location === undefined ? undefined : rewritten(wanted, rule.prefix, rule.location);
  const primary =
    place === undefined || `${place.host}/${place.repository}` === `${wanted.registry}/${wanted.repository}`
      ? own
      : plainEndpoint(place, context, rule.insecure);
  return { before: mirrors, upstream: primary, write: own };
}

/** The `[[registry]]` with the longest prefix. */
function ruleFor(wanted: Wanted, rules: readonly RegistryRule[]): RegistryRule | undefined {
  let best: RegistryRule | undefined;
  for (const rule of rules) {
    const longer = best === undefined || rule.prefix.length > best.prefix.length;
    if (longer && matchPrefix(fullName(wanted), rule.prefix) !== undefined) best = rule;
  }
  return best;
}

/** `prefix` of the reference's name, replaced by `location`. */
function rewritten(
  wanted: Wanted,
  prefix: string,
  location: string,
): { host: string; repository: string } | undefined {
  const length = matchPrefix(fullName(wanted), prefix);
  if (length === undefined) return undefined;
  // A prefix may reach into tag or digest; what stands behind the repository is not the location's.
  const name = `${wanted.registry}/${wanted.repository}`;
  const text = `${location}${name.slice(length)}`;
  const slash = text.indexOf('/');
  return slash < 0 ? undefined : { host: text.slice(0, slash), repository: text.slice(slash + 1) };
}

function fullName({ registry, repository, tag, digest }: Wanted): string {
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

function ownEndpoint({ wanted, configuration }: Context, insecure: boolean): EndpointAddress {
  const { registry } = wanted;
  const host = ownValue(configuration.hostAliases, registry) ?? hostOf(registry);
  const open = insecure || [host, registry].some((name) => isListed(name, configuration.insecure ?? []));
  return {
    name: registry,
    host,
    scheme: undefined,
    root: '/v2',
    repository: wanted.repository,
    insecure: open,
    tls: open ? uncheckedTls : undefined,
    headers: configuration.headers ?? {},
    namespace: undefined,
  };
}

function plainEndpoint(
  place: { readonly host: string; readonly repository: string },
  { configuration }: Context,
  insecure: boolean,
): EndpointAddress {
  const host = hostOf(place.host);
  const open = insecure || isListed(host, configuration.insecure ?? []);
  return {
    name: registryName(place.host),
    host,
    scheme: undefined,
    root: '/v2',
    repository: place.repository,
    insecure: open,
    tls: open ? uncheckedTls : undefined,
    headers: {},
    namespace: undefined,
  };
}

/** `[http[s]://]host[:port][/prefix]`: the prefix stands before the repository, as BuildKit reads it. */
function mirrorEndpoint(mirror: string, context: Context): EndpointAddress {
  const scheme = /^(https?):\/\//i.exec(mirror)?.[1]?.toLowerCase() as 'http' | 'https' | undefined;
  const [host = '', ...prefix] = mirror
    .replace(/^https?:\/\//i, '')
    .replace(/\/+$/, '')
    .split('/');
  const repository = [...prefix, context.wanted.repository].join('/');
  const endpoint = plainEndpoint({ host: host.toLowerCase(), repository }, context, false);
  return { ...endpoint, scheme: endpoint.insecure && scheme === 'https' ? undefined : scheme };
}

function hostEndpoint(settings: HostSettings, { wanted, configuration }: Context): EndpointAddress {
  const url = new URL(settings.url);
  const path = url.pathname.replace(/\/+$/, '');
  const root = settings.overridePath ? path : `${path}/v2`;
  // `/v2/team` is the same place as `/v2` with `team/` before the repository; so tokens are asked for what is really read.
  const prefix = /^\/v2\/(.+)$/.exec(root)?.[1];
  const name = registryName(url.host);
  const open = settings.skipVerify || isListed(url.host, configuration.insecure ?? []);
  const tls = { ca: settings.ca, clients: settings.clients, unchecked: open };
  return {
    name,
    host: url.host,
    scheme: url.protocol === 'http:' ? 'http' : 'https',
    root: prefix === undefined ? root : '/v2',
    repository: prefix === undefined ? wanted.repository : `${prefix}/${wanted.repository}`,
    insecure: open,
    tls: open || tls.ca.length + tls.clients.length > 0 ? tls : undefined,
    headers: { ...(name === wanted.registry ? configuration.headers : {}), ...settings.headers },
    namespace: name === wanted.registry ? undefined : wanted.registry,
  };
}

/** A registry may be called `constructor`. */
function ownValue<T>(map: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return map !== undefined && Object.hasOwn(map, key) ? map[key] : undefined;
}

const uncheckedTls: TlsSettings = { ca: [], clients: [], unchecked: true };

/** Docker Hub has many names; the user's is `docker.io`. */
export function registryName(registry: string): string {
  const name = registry.toLowerCase();
  return ['index.docker.io', 'registry-1.docker.io'].includes(name) ? 'docker.io' : name;
}

/** What answers for a registry. */
function hostOf(registry: string): string {
  return registryName(registry) === 'docker.io' ? 'registry-1.docker.io' : registry;
}

/** Whether `host[:port]` is in a list of hosts, hosts with port, and networks (`insecure-registries` of daemon.json). */
export function isListed(host: string, list: readonly string[]): boolean {
  const bare = host.replace(/:\d+$/, '');
  const address = bare.replace(/^\[(.*)\]$/, '$1');
  return list.some((item) => {
    const entry = item
      .toLowerCase()
      .replace(/^https?:\/\//, '')
      .replace(/\/+$/, '');
    if (entry === '*' || entry === host || entry === bare) return true;
    const [network = '', bits] = entry.split('/');
    const version = isIP(network);
    if (bits === undefined || version === 0 || version !== isIP(address)) return false;
    const size = Number(bits);
    if (!/^\d{1,3}$/.test(bits) || size > (version === 4 ? 32 : 128)) return false;
    const family = version === 4 ? 'ipv4' : 'ipv6';
    const subnet = new BlockList();
    subnet.addSubnet(network, size, family);
    return subnet.check(address, family);
  });
}
