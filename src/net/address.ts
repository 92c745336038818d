import { BlockList, isIP } from 'node:net';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

// IANA's special-purpose registries, as far as they name machines that the public must not be able to point us at.
const special = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const) {
  special.addSubnet(network, bits, 'ipv4');
}
for (const [network, bits] of [
  ['::', 128],
  ['::1', 128],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
  ['2002::', 16],
] as const) {
  special.addSubnet(network, bits, 'ipv6');
}

const linkLocal = new BlockList();
linkLocal.addSubnet('169.254.0.0', 16, 'ipv4');
linkLocal.addSubnet('fe80::', 10, 'ipv6');
linkLocal.addAddress('fd00:ec2::254', 'ipv6');

/** The address in a URL's hostname, `[…]` removed; undefined when it is a name. */
function literal(hostname: string): { address: string; family: 'ipv4' | 'ipv6' } | undefined {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '');
  const version = isIP(bare);
  if (version === 0) return undefined;
  if (version === 4) return { address: bare, family: 'ipv4' };
  // An IPv4 address in IPv6 clothes (::ffff:7f00:1) is judged as what it is.
  const mapped = /^::(?:ffff:)?(?:([0-9a-f]{1,4}):([0-9a-f]{1,4})|(\d+\.\d+\.\d+\.\d+))$/i.exec(bare);
  if (mapped?.[3] !== undefined) return { address: mapped[3], family: 'ipv4' };
  if (mapped?.[1] !== undefined && mapped[2] !== undefined) {
    const value = (Number.parseInt(mapped[1], 16) << 16) | Number.parseInt(mapped[2], 16);
    const bytes = [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff);
    return { address: bytes.join('.'), family: 'ipv4' };
  }
  return { address: bare, family: 'ipv6' };
}

export function isIpLiteral(hostname: string): boolean {
  return literal(hostname) !== undefined;
}

/** 127/8, ::1, `localhost` and names below it: this machine. Takes a URL's hostname, without port. */
export function isLoopbackHost(hostname: string): boolean {
  const name = hostname.toLowerCase().replace(/\.$/, '');
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  const ip = literal(name);
  return ip !== undefined && loopback.check(ip.address, ip.family);
}

/** An address literal (or `localhost`) that a foreign server must not send us to: private, link-local, loopback, multicast (R-AUTH-9).
 * Names are not resolved: what a name means here is up to this machine's own resolver. */
export function isPrivateHost(hostname: string): boolean {
  if (isLoopbackHost(hostname)) return true;
  const ip = literal(hostname.replace(/\.$/, ''));
  return ip !== undefined && special.check(ip.address, ip.family);
}

/** A link-local literal, or what clouds use in its place: there they tell a machine its own credentials. */
export function isLinkLocalHost(hostname: string): boolean {
  const ip = literal(hostname.replace(/\.$/, ''));
  return ip !== undefined && linkLocal.check(ip.address, ip.family);
}
