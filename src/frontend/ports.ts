/** Ports of one EXPOSE argument, both ends included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
  readonly proto: string;
}

/** Reads `80`, `80/udp`, `8000-8010/tcp`; of `ip:host:container` only the container's part counts (L-EXPOSE-1). */
export function parsePorts(text: string): PortRange | undefined {
  const match = /^(?:(?:\[[^\]]*\]|[^:/]*):)?(?:[\d-]*:)?(\d{1,5})(?:-(\d{1,5}))?(?:\/([A-Za-z]+))?$/.exec(
    text,
  );
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = match[2] === undefined ? first : Number(match[2]);
  const proto = match[3]?.toLowerCase() ?? 'tcp';
  if (last > 65_535 || first > last || !['tcp', 'udp', 'sctp'].includes(proto)) return undefined;
  return { first, last, proto };
}

export function formatPort({ first, last, proto }: PortRange): string {
  return first === last ? `${first}/${proto}` : `${first}-${last}/${proto}`;
}
