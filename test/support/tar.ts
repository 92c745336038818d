/** One object of a tar file, as its headers say. */
export interface TarEntry {
  readonly path: string;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds, as a decimal text with all its digits. */
  readonly mtime: string;
  readonly linkTarget: string;
  readonly device: string;
  readonly xattrs: Readonly<Record<string, string>>;
  readonly content: Buffer;
}

const types: Readonly<Record<string, string>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

/**
 * Reads a whole tar: ustar, PAX and GNU long names. Written apart from the program on purpose, so that a mistake of the
 * program's own reader cannot hide one of its writer.
 */
export function readTar(tar: Buffer): TarEntry[] {
  const entries: TarEntry[] = [];
  const global: Record<string, string> = {};
  let pax: Record<string, string> = {};
  let offset = 0;
  while (offset + 512 <= tar.length) {
    const header = tar.subarray(offset, offset + 512);
    offset += 512;
    if (header.every((byte) => byte === 0)) continue;
    const flag = header.toString('latin1', 156, 157);
    const size = pax['size'] === undefined ? number(header, 124, 12) : Number(pax['size']);
    const content = tar.subarray(offset, offset + size);
    offset += Math.ceil(size / 512) * 512;
    if (flag === 'x') Object.assign(pax, records(content));
    else if (flag === 'g') Object.assign(global, records(content));
    else if (flag === 'L') pax['path'] = content.toString('latin1').replace(/\0+$/, '');
    else if (flag === 'K') pax['linkpath'] = content.toString('latin1').replace(/\0+$/, '');
    else {
      entries.push(entry(header, content, { ...global, ...pax }));
      pax = {};
    }
  }
  return entries;
}

function entry(header: Buffer, content: Buffer, pax: Readonly<Record<string, string>>): TarEntry {
  const magic = header.toString('latin1', 257, 263);
  const prefix = magic === 'ustar\0' ? text(header, 345, 155) : '';
  const name = text(header, 0, 100);
  const flag = header.toString('latin1', 156, 157);
  const type = types[flag] ?? `unknown ${JSON.stringify(flag)}`;
  const xattrs: Record<string, string> = {};
  for (const [key, value] of Object.entries(pax)) {
    if (key.startsWith('SCHILY.xattr.')) xattrs[key.slice(13)] = Buffer.from(value, 'latin1').toString('hex');
  }
  const decode = (value: string | undefined): string | undefined =>
    value === undefined ? undefined : Buffer.from(value, 'latin1').toString();
  return {
    path: (decode(pax['path']) ?? (prefix === '' ? name : `${prefix}/${name}`))
      .replace(/^(\.?\/)+/, '')
      .replace(/\/+$/, ''),
    type,
    mode: number(header, 100, 8) & 0o7777,
    uid: pax['uid'] === undefined ? number(header, 108, 8) : Number(pax['uid']),
    gid: pax['gid'] === undefined ? number(header, 116, 8) : Number(pax['gid']),
    size: type === 'file' ? content.length : 0,
    mtime: pax['mtime'] ?? String(number(header, 136, 12)),
    linkTarget: decode(pax['linkpath']) ?? text(header, 157, 100),
    device: type === 'char' || type === 'block' ? `${number(header, 329, 8)}:${number(header, 337, 8)}` : '',
    xattrs,
    content: Buffer.from(content),
  };
}

/** PAX records; values stay byte strings, for xattrs are binary. */
function records(body: Buffer): Record<string, string> {
  const found: Record<string, string> = {};
  let offset = 0;
  while (offset < body.length && body[offset] !== 0) {
    const blank = body.indexOf(32, offset);
    const length = Number(body.toString('latin1', offset, blank));
    const record = body.toString('latin1', blank + 1, offset + length - 1);
    const equals = record.indexOf('=');
    found[record.slice(0, equals)] = record.slice(equals + 1);
    offset += length;
  }
  return found;
}

function text(header: Buffer, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end === -1 ? length : end);
}

function number(header: Buffer, start: number, length: number): number {
  const field = header.subarray(start, start + length);
  if (((field[0] ?? 0) & 0x80) !== 0) {
    let value = 0n;
    for (const [index, byte] of field.entries())
      value = (value << 8n) | BigInt(index === 0 ? byte & 0x7f : byte);
    return Number(value);
  }
  const digits = field.toString('latin1').replace(/[\0 ]/g, '');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}
