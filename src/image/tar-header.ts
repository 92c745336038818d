import { isUtf8 } from 'node:buffer';
import { BuildError } from '../util/build-error.ts';

/** Bytes of a block: headers are one, content is padded to a whole number of them. POSIX.1-2017, pax, "ustar Interchange Format". */
export const blockSize = 512;

/** One header block as it stands; nothing of it is checked but the checksum and that numbers are numbers. */
export interface TarHeader {
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds. */
  readonly mtime: number;
  /** One character; '\0' in archives older than ustar. */
  readonly typeflag: string;
  readonly linkname: string;
  readonly devMajor: number;
  readonly devMinor: number;
}

/** Greatest values that the octal fields hold; what is larger needs a pax record. */
export const largest = { id: 0o7777777, size: 0o77777777777, mtime: 0o77777777777 } as const;

/**
 * Encodes a ustar block: uname and gname empty, every field set. Names must be ASCII of at most 100 bytes and numbers
 * within `largest`: the caller moves others into pax records. Throws a RangeError otherwise.
 */
export function encodeHeader(header: TarHeader): Buffer {
  const block = Buffer.alloc(blockSize);
  putText(block, header.name, { at: 0, length: 100 });
  putOctal(block, header.mode, { at: 100, length: 8 });
  putOctal(block, header.uid, { at: 108, length: 8 });
  putOctal(block, header.gid, { at: 116, length: 8 });
  putOctal(block, header.size, { at: 124, length: 12 });
  putOctal(block, header.mtime, { at: 136, length: 12 });
  block.write(header.typeflag, 156, 'latin1');
  putText(block, header.linkname, { at: 157, length: 100 });
  block.write('ustar\x0000', 257, 'latin1');
  putOctal(block, header.devMajor, { at: 329, length: 8 });
  putOctal(block, header.devMinor, { at: 337, length: 8 });
  block.write(checksum(block).toString(8).padStart(6, '0'), 148, 'latin1');
  block[154] = 0;
  block[155] = 0x20;
  return block;
}

/** Reads one block; undefined for a block of zeros, which ends an archive. Throws IMAGE_INVALID. */
export function decodeHeader(block: Buffer): TarHeader | undefined {
  const sum = checksum(block);
  if (sum === 8 * 0x20 && block.every((byte) => byte === 0)) return undefined;
  if (sum !== number(block, 148, 8)) {
    throw new BuildError(
      'IMAGE_INVALID',
      'this is no tar archive, or a damaged one: a header has a wrong checksum',
    );
  }
  const magic = block.toString('latin1', 257, 263);
  // In GNU's format the place of the prefix holds other fields.
  const prefix = magic === 'ustar\0' ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  const special = magic === 'ustar\0' || magic === 'ustar ';
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    mode: number(block, 100, 8),
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: number(block, 124, 12),
    mtime: number(block, 136, 12),
    typeflag: String.fromCharCode(block[156] ?? 0),
    linkname: text(block, 157, 100),
    devMajor: special ? number(block, 329, 8) : 0,
    devMinor: special ? number(block, 337, 8) : 0,
  };
}

/** The sum of all bytes, those of the checksum itself counted as blanks. */
function checksum(block: Buffer): number {
  let sum = 8 * 0x20;
  for (let i = 0; i < 148; i += 1) sum += block[i] as number;
  for (let i = 156; i < blockSize; i += 1) sum += block[i] as number;
  return sum;
}

interface Field {
  readonly at: number;
  readonly length: number;
}

function putText(block: Buffer, value: string, field: Field): void {
  if (value.length > field.length) throw new RangeError(`${value} does not fit a tar header`);
  block.write(value, field.at, 'latin1');
}

function putOctal(block: Buffer, value: number, field: Field): void {
  const digits = value.toString(8).padStart(field.length - 1, '0');
  if (digits.length >= field.length) throw new RangeError(`${value} does not fit a tar header`);
  block.write(digits, field.at, 'latin1');
}

/** A name field: up to the first NUL. Throws IMAGE_INVALID unless it is UTF-8: two other names could become one. */
function text(block: Buffer, at: number, length: number): string {
  const end = block.indexOf(0, at);
  const bytes = block.subarray(at, end === -1 || end > at + length ? at + length : end);
  if (!isUtf8(bytes)) {
    throw new BuildError(
      'IMAGE_INVALID',
      `the archive has a name that is not UTF-8: ${bytes.toString('latin1')}`,
    );
  }
  return bytes.toString();
}

/** A number field: octal digits, or GNU's base-256 form when the first bit is set. Throws IMAGE_INVALID. */
function number(block: Buffer, at: number, length: number): number {
  const first = block[at] as number;
  if ((first & 0x80) !== 0) {
    // Two's complement of all bits but the first.
    let value = BigInt(first & 0x7f);
    for (let i = 1; i < length; i += 1) value = (value << 8n) | BigInt(block[at + i] as number);
    const signed = BigInt.asIntN(length * 8 - 1, value);
    if (signed > BigInt(Number.MAX_SAFE_INTEGER) || signed < BigInt(Number.MIN_SAFE_INTEGER))
      throw badNumber();
    return Number(signed);
  }
  const digits = /^[ \0]*([0-7]*)[ \0]*/.exec(block.toString('latin1', at, at + length));
  if (digits === null || digits[0].length !== length) throw badNumber();
  return digits[1] === '' ? 0 : Number.parseInt(digits[1] as string, 8);
}

function badNumber(): BuildError {
  return new BuildError('IMAGE_INVALID', 'the archive has a header with a malformed number');
}
