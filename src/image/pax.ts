import { isUtf8 } from 'node:buffer';
import { BuildError } from '../util/build-error.ts';

/** Extended header records of POSIX pax, values as raw bytes: an xattr is seldom text. */
export type PaxRecords = Map<string, Buffer>;

/** Encodes records sorted by key: `<length> <key>=<value>\n`. */
export function encodePax(records: ReadonlyMap<string, string | Uint8Array>): Buffer {
  const parts: Uint8Array[] = [];
  for (const [key, value] of [...records].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const body = Buffer.concat([
      Buffer.from(` ${key}=`),
      Buffer.from(value as Uint8Array),
      Buffer.from('\n'),
    ]);
    // The length counts its own digits.
    let length = body.length + 1;
    while (String(length).length + body.length !== length) length = String(length).length + body.length;
    parts.push(Buffer.from(String(length)), body);
  }
  return Buffer.concat(parts);
}

/** Reads the body of an extended header. Throws IMAGE_INVALID for anything that is not well formed. */
export function decodePax(body: Buffer): PaxRecords {
  const records: PaxRecords = new Map();
  for (let start = 0; start < body.length;) {
    const space = body.indexOf(0x20, start);
    const digits = space === -1 ? '' : body.toString('latin1', start, space);
    const end = start + Number(digits);
    if (!/^[1-9]\d{0,9}$/.test(digits) || end > body.length || body[end - 1] !== 0x0a) throw malformed();
    const equals = body.indexOf(0x3d, space);
    if (equals === -1 || equals >= end || equals === space + 1) throw malformed();
    const key = paxText(body.subarray(space + 1, equals));
    records.set(key, body.subarray(equals + 1, end - 1));
    start = end;
  }
  return records;
}

/** A value as text. Throws IMAGE_INVALID when it is not UTF-8 or contains NUL. */
export function paxText(value: Buffer): string {
  if (!isUtf8(value) || value.includes(0)) {
    throw new BuildError('IMAGE_INVALID', 'the archive has a name that is not UTF-8 text');
  }
  return value.toString();
}

/** Nanoseconds as pax writes times: decimal seconds. */
export function formatPaxTime(nanoseconds: bigint): string {
  const sign = nanoseconds < 0n ? '-' : '';
  const absolute = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  const fraction = (absolute % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '');
  const seconds = absolute / 1_000_000_000n;
  return `${sign}${seconds}${fraction === '' ? '' : `.${fraction}`}`;
}

/** The other way round; digits past nanoseconds are cut off. Throws IMAGE_INVALID. */
export function parsePaxTime(text: string): bigint {
  const match = /^(-?)(\d{1,12})(?:\.(\d*))?$/.exec(text);
  if (match === null) throw malformed();
  const [, sign = '', seconds = '', fraction = ''] = match;
  const absolute = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'));
  return sign === '-' ? -absolute : absolute;
}

function malformed(): BuildError {
  return new BuildError('IMAGE_INVALID', 'the archive has a malformed extended header');
}
