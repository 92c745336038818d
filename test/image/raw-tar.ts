import { encodePax } from '../../src/image/pax.ts';
import { encodeHeader } from '../../src/image/tar-header.ts';

// Archives as an attacker writes them: block by block, with nothing checked.

export interface RawMember {
  readonly name: string;
  readonly typeflag?: string;
  readonly linkname?: string;
  readonly body?: Uint8Array | string;
  /** What the header claims; default: the size of the body. */
  readonly size?: number;
  readonly pax?: Readonly<Record<string, string | Uint8Array>>;
  readonly mode?: number;
  readonly devMajor?: number;
  readonly devMinor?: number;
}

export function rawTar(...members: readonly RawMember[]): Buffer {
  return Buffer.concat([...members.map(memberBlocks), Buffer.alloc(1024)]);
}

export function memberBlocks(member: RawMember): Buffer {
  const body = Buffer.from((member.body ?? '') as string);
  const parts: Buffer[] = [];
  if (member.pax !== undefined) {
    parts.push(
      memberBlocks({ name: 'pax', typeflag: 'x', body: encodePax(new Map(Object.entries(member.pax))) }),
    );
  }
  parts.push(
    encodeHeader({
      name: member.name,
      mode: member.mode ?? 0o644,
      uid: 0,
      gid: 0,
      size: member.size ?? body.length,
      mtime: 0,
      typeflag: member.typeflag ?? '0',
      linkname: member.linkname ?? '',
      devMajor: member.devMajor ?? 0,
      devMinor: member.devMinor ?? 0,
    }),
    body,
    Buffer.alloc((512 - (body.length % 512)) % 512),
  );
  return Buffer.concat(parts);
}
