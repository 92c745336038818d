import { BuildError } from '../util/build-error.ts';

/** Ports of one EXPOSE argument, both ends included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
  /** `tcp`, `udp` or `sctp`. */
  readonly proto: string;
}

/**
 * Reads `80`, `80/udp`, `8000-8010/tcp`; of `ip:host:container` only the container's part counts, but the others must be well formed
 * (L-EXPOSE-1). Throws DOCKERFILE_BAD_ARGUMENT without a place.
 */
export function parsePorts(text: string): PortRange {
  const parts = text.split(':');
  const container = parts.pop() ?? '';
  const host = parts.pop() ?? '';
  const ip = parts.join(':');
  const slash = container.indexOf('/');
  const numbers = slash < 0 ? container : container.slice(0, slash);
  const proto = (slash < 0 ? '' : container.slice(slash + 1).toLowerCase()) || 'tcp';
  const ports = readRange(numbers);
  if (ports === undefined) throw noPort(text, `\`${numbers}\` is no port number and no range of them`);
  if (!['tcp', 'udp', 'sctp'].includes(proto))
    throw noPort(text, `\`${proto}\` is no protocol: there are tcp, udp and sctp`);
  if (ip !== '' && !isAddress(ip.replace(/^\[(.*)\]$/, '$1')))
    throw noPort(text, `\`${ip}\` is no IP address`);
  const hosts = host === '' ? ports : readRange(host);
  if (hosts === undefined) throw noPort(text, `\`${host}\` is no port of the host`);
  const size = ports.last - ports.first;
  if (size > 0 && hosts.last - hosts.first !== size) {
    throw noPort(text, `the ranges \`${host}\` and \`${numbers}\` have different lengths`);
  }
  return { ...ports, proto };
}

function readRange(text: string): { first: number; last: number } | undefined {
  const match = /^(\d{1,20})(?:-(\d{1,20}))?$/.exec(text);
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  return last > 65_535 || first > last ? undefined : { first, last };
}

/** Whether a text is an IPv4 or IPv6 address. */
function isAddress(text: string): boolean {
  const part = /^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$/;
  const parts = text.split('.');
  if (parts.length === 4 && parts.every((each) => part.test(each))) return true;
  return /^[\da-f:.]+$/i.test(text) && URL.canParse(`http://[${text}]/`);
}

function noPort(text: string, why: string): BuildError {
  return new BuildError('DOCKERFILE_BAD_ARGUMENT', `\`${text.slice(0, 100)}\` is no port: ${why}`, {
    hint: 'write 80, 80/udp or 8000-8010/tcp, with numbers up to 65535',
  });
}
