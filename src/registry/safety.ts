import type { TlsSettings } from '../net/certificates.ts';
import { isIpLiteral, isLinkLocalHost, isLoopbackHost, isPrivateHost } from '../net/address.ts';
import { BuildError } from '../util/build-error.ts';
import { redactUrl } from '../util/redact.ts';

/** What the user calls the registry, and where it is. */
export interface RegistryPlace {
  readonly name: string;
  /** Scheme, host and port that answer for it. */
  readonly base: URL;
  /** As the registry's own files set it; `realmTls` says what of it holds for a token server. */
  readonly tls?: TlsSettings | undefined;
}

/** A token server is trusted by the CAs that the registry is; all else that is set for the registry is for its own host alone. */
export function realmTls(realm: URL, { base, tls }: RegistryPlace): TlsSettings | undefined {
  if (tls === undefined || realm.hostname === base.hostname) return tls;
  return tls.ca.length === 0 ? undefined : { ca: tls.ca, clients: [], unchecked: false };
}

/**
 * A URL that the registry sent (redirect, upload Location, foreign layer), resolved against the request's. Throws REGISTRY_UNSAFE when
 * it would leave HTTPS, or leads from elsewhere into this machine or its network (R-AUTH-9). Allowed is not trusted: a caller sends
 * Authorization to `registry.base`'s origin alone.
 */
export function safeTarget(location: string, from: URL, registry: RegistryPlace): URL {
  const target = location.length > 16_384 ? null : URL.parse(location, from.href);
  if (target === null) throw unsafe(registry, 'an address that is none', location.slice(0, 200));
  target.username = '';
  target.password = '';
  target.hash = '';
  const { base } = registry;
  if (target.origin === base.origin) return target;
  if (target.protocol !== 'https:' && (target.protocol !== 'http:' || base.protocol !== 'http:')) {
    throw unsafe(registry, 'to an address without TLS', target);
  }
  if (isPrivateHost(target.hostname) && !mayPointInside(base, target)) {
    throw unsafe(registry, 'into this machine or its private network', target);
  }
  return target;
}

/**
 * The URL of a token server, checked. Throws REGISTRY_UNSAFE for one that must not be asked at all: without TLS (but for a plain registry
 * on this machine, or on the registry's own host), or in a private network that the registry is not part of.
 */
export function safeRealm(realm: string, registry: RegistryPlace, trusted: readonly string[]): URL {
  const url = realm.length > 4096 ? null : URL.parse(realm);
  if (url === null || url.username !== '' || url.password !== '') {
    throw unsafe(registry, 'for a token to an address that is none', realm.slice(0, 200));
  }
  const { base } = registry;
  const own = url.hostname === base.hostname || isListed(url, trusted);
  const plainAllowed = base.protocol === 'http:' && (own || isLoopbackHost(base.hostname));
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && plainAllowed)) {
    throw unsafe(registry, 'for a token to an address without TLS', url);
  }
  if (isPrivateHost(url.hostname) && !own && !mayPointInside(base, url)) {
    throw unsafe(registry, 'for a token into this machine or its private network', url);
  }
  return url;
}

/**
 * Whether a token server may see the registry's credentials: it has the registry's host name, belongs to the same organisation's domain,
 * is Docker Hub's, or was listed by the user. `realm` has passed `safeRealm`.
 */
export function isTrustedRealm(realm: URL, registry: RegistryPlace, trusted: readonly string[]): boolean {
  const { base, name } = registry;
  if (realm.hostname === base.hostname || isListed(realm, trusted)) return true;
  if (realm.protocol !== 'https:') return false;
  if (name === 'docker.io' && realm.host === 'auth.docker.io') return true;
  const domain = organisation(base.hostname);
  return domain !== undefined && domain === organisation(realm.hostname);
}

/**
 * A registry on this machine is the user's own, or a tunnel to someone else's: it may name the private network, but not what answers on
 * link-local addresses. Any other may name its own host alone.
 */
function mayPointInside(base: URL, target: URL): boolean {
  if (isLoopbackHost(base.hostname)) return !isLinkLocalHost(target.hostname);
  return target.hostname === base.hostname;
}

function isListed(url: URL, list: readonly string[]): boolean {
  return list.some((item) => [url.host, url.hostname, url.origin].includes(item.toLowerCase()));
}

// Below these, neighbours are strangers to each other. Not complete, and need not be: a domain that is missing here still needs a
// registry that lies about its own token server.
const shared = new Set(
  (
    'amazonaws.com appspot.com azurecontainer.io azurecr.io azurewebsites.net azurefd.net cloudapp.net cloudfront.net ' +
    'cloudapp.azure.com windows.net core.windows.net deno.dev digitaloceanspaces.com dscloud.me duckdns.org dyndns.org ' +
    'fastly.net firebaseapp.com fly.dev github.io githubusercontent.com gitlab.io googleapis.com gcr.io heroku.com ' +
    'herokuapp.com myqnapcloud.com netlify.app ngrok.io ngrok.app ngrok-free.app nip.io no-ip.org onrender.com ' +
    'ondigitalocean.app pages.dev pkg.dev r2.dev railway.app run.app sslip.io ts.net trycloudflare.com vercel.app ' +
    'web.app workers.dev xip.io'
  ).split(' '),
);

/** The domain that one owner has registered: two labels, three below `co.uk` and its like; undefined for addresses and shared domains. */
function organisation(hostname: string): string | undefined {
  if (isIpLiteral(hostname)) return undefined;
  const labels = hostname.toLowerCase().replace(/\.$/, '').split('.');
  const [second = '', top = ''] = labels.slice(-2);
  const double = top.length === 2 && (second.length <= 3 || ['gouv', 'govt', 'info'].includes(second));
  const count = double ? 3 : 2;
  if (labels.length < count) return undefined;
  for (let size = 2; size <= labels.length; size++) {
    if (shared.has(labels.slice(-size).join('.'))) return undefined;
  }
  return labels.slice(-count).join('.');
}

function unsafe(registry: RegistryPlace, where: string, target: URL | string): BuildError {
  return new BuildError(
    'REGISTRY_UNSAFE',
    `the registry ${registry.name} sends us ${where}: ${redactUrl(target)}`,
    {
      hint: 'nothing was sent there; if this is your own registry, check the address that it gives to its clients',
      details: { registry: registry.name, target: redactUrl(target) },
    },
  );
}
